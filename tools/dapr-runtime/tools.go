//go:build tools

// Package tools names the programs that this module builds, so that go.mod and go.sum pin all that they need.
package tools

import (
	_ "github.com/dapr/dapr/cmd/daprd"
	_ "github.com/dapr/dapr/cmd/placement"
	_ "github.com/dapr/dapr/cmd/scheduler"
)
