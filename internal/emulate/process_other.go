//go:build !linux

package emulate

import (
	"os"
	"syscall"
)

const supported = false

func childAttributes() *syscall.SysProcAttr { return nil }
func terminate(p *os.Process)               { p.Kill() }
func killGroup(p *os.Process)               { p.Kill() }
func isRoot() bool                          { return false }
func unmountBelow(string)                   {}
func removeBridge(string)                   {}
