package child

import "syscall"

// Attributes put a program into a process group of its own, so that Ctrl-C at the terminal does not reach it. The kernel
// sends the program a signal if this one is killed.
func Attributes(end syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: end}
}
