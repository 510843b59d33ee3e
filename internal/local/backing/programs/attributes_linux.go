package programs

import "syscall"

// attributes are those of a program's process, which runs as a user, or as this one if the user is nil. The
// process has a group of its own, so that Ctrl-C at the terminal does not reach it. The kernel sends the process
// the signal if this program is killed.
func attributes(user *syscall.Credential, end syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: end, Credential: user}
}
