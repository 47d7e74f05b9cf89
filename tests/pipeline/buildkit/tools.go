//go:build tools

// Package buildkit pins the builder's commands, which nothing here imports.
package buildkit

import (
	_ "github.com/moby/buildkit/cmd/buildctl"
	_ "github.com/moby/buildkit/cmd/buildkitd"
)
