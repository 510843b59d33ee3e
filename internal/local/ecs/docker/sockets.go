package docker

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/moby/moby/api/types/mount"
)

// SocketsCommand is the first argument of this program where the driver runs it in a container.
const SocketsCommand = "open-sockets"

// Paths in such a container: this program, and a directory of this machine with the driver's socket.
const programPath, meetingPath = "/cutover", "/run/cutover"

// meetingSocket is the name of the driver's socket.
const meetingSocket = "driver"

// OpenSockets is what this program does in a container: it opens sockets at all addresses of the container,
// hands them to the driver, and becomes the program that waits. So the driver has sockets in the
// container's network. Arguments are ports as in "3000/tcp". OpenSockets returns only if it fails.
func OpenSockets(arguments []string) error {
	var sockets []int
	for _, argument := range arguments {
		port, protocol, _ := strings.Cut(argument, "/")
		socket, err := openSocket(protocol, port)
		if err != nil {
			return err
		}
		defer socket.Close()
		sockets = append(sockets, int(socket.Fd()))
	}
	driver, err := net.Dial("unix", filepath.Join(meetingPath, meetingSocket))
	if err != nil {
		return err
	}
	if _, _, err = driver.(*net.UnixConn).WriteMsgUnix([]byte{0}, syscall.UnixRights(sockets...), nil); err != nil {
		return err
	}
	return syscall.Exec(pausePath, []string{pausePath}, nil)
}

func openSocket(protocol, port string) (*os.File, error) {
	if protocol == "udp" {
		socket, err := net.ListenPacket("udp4", ":"+port)
		if err != nil {
			return nil, err
		}
		defer socket.Close() // the file is another one
		return socket.(*net.UDPConn).File()
	}
	socket, err := net.Listen("tcp4", ":"+port)
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	return socket.(*net.TCPListener).File()
}

// meeting is where a container hands its sockets to the driver.
type meeting struct {
	directory *os.File
	listener  *net.UnixListener
}

// meet makes a meeting in a directory of its own.
func meet(directory string) (*meeting, error) {
	opened, err := os.Open(directory)
	if err != nil {
		return nil, err
	}
	// The address of a socket has 107 bytes at most. The path of the directory may have more.
	address := fmt.Sprintf("/proc/self/fd/%d/%s", opened.Fd(), meetingSocket)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: address, Net: "unix"})
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	m := &meeting{opened, listener}
	// The container's root may be another user here.
	if err := os.Chmod(filepath.Join(directory, meetingSocket), 0o666); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

func (m *meeting) close() {
	m.listener.Close()
	m.directory.Close()
}

// take waits for the sockets of a container until the context ends.
func (m *meeting) take(ctx context.Context) ([]*os.File, error) {
	defer context.AfterFunc(ctx, func() { m.listener.Close() })()
	connection, err := m.listener.AcceptUnix()
	if err != nil {
		return nil, cause(ctx, err)
	}
	defer connection.Close()
	defer context.AfterFunc(ctx, func() { connection.Close() })()
	data, rights := make([]byte, 1), make([]byte, 4096)
	_, n, _, _, err := connection.ReadMsgUnix(data, rights)
	if err != nil {
		return nil, cause(ctx, err)
	}
	messages, err := syscall.ParseSocketControlMessage(rights[:n])
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, message := range messages {
		sockets, err := syscall.ParseUnixRights(&message)
		if err != nil {
			return nil, err
		}
		for _, socket := range sockets {
			files = append(files, os.NewFile(uintptr(socket), "socket of a container"))
		}
	}
	return files, nil
}

// cause is the reason of an error: the end of the context goes before the error that the end has led to.
func cause(ctx context.Context, err error) error {
	if ended := context.Cause(ctx); ended != nil {
		return ended
	}
	return err
}

// ownProgram are mounts that bring this program into a container, with the libraries that it is linked to.
var ownProgram = sync.OnceValues(func() ([]mount.Mount, error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("cutover is a program for %s here, and a container runs those for Linux", runtime.GOOS)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	bind := func(source, target string) mount.Mount {
		return mount.Mount{Type: mount.TypeBind, Source: source, Target: target, ReadOnly: true}
	}
	mounts := []mount.Mount{bind(self, programPath)}
	needed, err := libraries(self)
	for _, library := range needed {
		mounts = append(mounts, bind(library, library))
	}
	return mounts, err
})

// loaded matches a library in what a loader lists, as in "libc.so.6 => /lib/libc.so.6 (0x00007f)".
var loaded = regexp.MustCompile(`(?m)(/\S+) \(0x[0-9a-f]+\)$`)

// libraries are the files that a program needs to start: its loader, and what the loader loads.
func libraries(program string) ([]string, error) {
	file, err := elf.Open(program)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	i := slices.IndexFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
	if i < 0 {
		return nil, nil // it is linked statically
	}
	text, err := io.ReadAll(file.Progs[i].Open())
	if err != nil {
		return nil, err
	}
	loader := string(bytes.TrimRight(text, "\x00"))
	listed, err := exec.Command(loader, "--list", program).Output()
	if err != nil {
		return nil, fmt.Errorf("the libraries of %s are not known: %w", program, err)
	}
	all := []string{loader}
	for _, match := range loaded.FindAllStringSubmatch(string(listed), -1) {
		all = append(all, match[1])
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
