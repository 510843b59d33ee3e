//go:build unix && !linux

package child

import "syscall"

// Attributes put a program into a process group of its own, so that Ctrl-C at the terminal does not reach it. If this
// one is killed, the program lives on: only Linux has a signal for that.
func Attributes(syscall.Signal) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
