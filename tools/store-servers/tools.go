//go:build tools

// Package tools names the program that this module builds, so that go.mod and go.sum pin all that it needs.
package tools

import _ "github.com/nats-io/nats-server/v2"
