//go:build tools

// Package actionlint pins the linter's command, which nothing here imports.
package actionlint

import _ "github.com/rhysd/actionlint/cmd/actionlint"
