// Package plugins names the discoveries that are built in, as upstream's own file of this name does after `make plugins`
// with a shorter plugins.yml: of its two dozen the lab's Prometheus uses one.
package plugins

import (
	_ "github.com/prometheus/prometheus/discovery/kubernetes"
)
