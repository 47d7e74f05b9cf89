//go:build tools

// Package toxiproxy pins the proxy's command, which nothing here imports.
package toxiproxy

import _ "github.com/Shopify/toxiproxy/v2/cmd/server"
