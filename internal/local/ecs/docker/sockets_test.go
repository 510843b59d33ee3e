package docker

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cutover/internal/local/ecs"
)

// A container's sockets work in this program. The path of the directory may be long.
func TestMeeting(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("containers hand over sockets on Linux")
	}
	directory := filepath.Join(t.TempDir(), strings.Repeat("long", 40))
	if err := os.Mkdir(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	place, err := meet(directory)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(directory, meetingSocket)); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("the socket has %v, %v", info, err)
	}
	go func() { // as [OpenSockets]
		var sockets []int
		for _, protocol := range []string{"tcp", "udp"} {
			socket, err := openSocket(protocol, "0")
			if err != nil {
				t.Error(err)
				return
			}
			sockets = append(sockets, int(socket.Fd()))
		}
		connection, err := net.Dial("unix", place.listener.Addr().String())
		if err == nil {
			_, _, err = connection.(*net.UnixConn).WriteMsgUnix([]byte{0}, syscall.UnixRights(sockets...), nil)
		}
		if err != nil {
			t.Error(err)
		}
	}()
	files, err := place.take(t.Context())
	if err != nil || len(files) != 2 {
		t.Fatalf("%d sockets come: %v", len(files), err)
	}
	d, s := &Driver{names: newNames()}, &standIn{host: "users"}
	users := nowhereYet(t)
	if err := errors.Join(d.serve(s, "0/tcp", files[0]), d.serve(s, "0/udp", files[1])); err != nil {
		t.Fatal(err)
	}
	port := s.sockets[0].(net.Listener).Addr().(*net.TCPAddr).Port
	d.names.register(netip.MustParseAddr("127.0.0.1"), &caller{names: []ecs.Name{
		{Host: "users", Port: port, Address: users.Addr().String()}, {Host: "posts", Port: port, Address: "127.0.0.1:1"}, {Host: "users", Port: port + 1, Address: "127.0.0.1:1"},
	}})
	connection, err := net.Dial("tcp4", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)).String())
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(connection); string(text) != "users" || err != nil {
		t.Errorf("the answer is %q, %v", text, err)
	}
	for _, socket := range s.sockets {
		socket.Close()
	}
	place.close()
	if left, _ := os.ReadDir(directory); len(left) > 0 {
		t.Errorf("left is %v", left)
	}
	if _, err := meet("/nowhere"); err == nil {
		t.Error("a directory that is not there is no error")
	}
}

// nowhereYet is a server that says "users" and closes.
func nowhereYet(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			io.WriteString(connection, "users")
			connection.Close()
		}
	}()
	return listener
}

// The wait for a container ends with the context, before and after the container has come.
func TestMeetingNobodyComes(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("containers hand over sockets on Linux")
	}
	why := errors.New("its container has ended")
	for _, comes := range []bool{false, true} {
		place, err := meet(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		if comes {
			connection, err := net.Dial("unix", place.listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer connection.Close()
		}
		time.AfterFunc(time.Millisecond, func() { cancel(why) })
		if files, err := place.take(ctx); err != why || files != nil {
			t.Errorf("comes %v: %v, %v", comes, files, err)
		}
		place.close()
	}
}

// A port that is taken is an error of the program in the container.
func TestOpenSocketsFails(t *testing.T) {
	listener := nowhereYet(t)
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	for _, c := range []struct{ arguments, want string }{{port + "/tcp", "address already in use"}, {"0/udp 0/tcp", "no such file or directory"}, {"x/udp", "x"}} {
		if err := OpenSockets(strings.Fields(c.arguments)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.arguments, err, c.want)
		}
	}
}

// A program that is linked dynamically has its loader and its libraries with it.
func TestLibraries(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("containers run programs for Linux")
	}
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	all, err := libraries(shell)
	if err != nil || len(all) < 2 || !slices.ContainsFunc(all, func(name string) bool { return strings.Contains(name, "libc") }) || !slices.ContainsFunc(all, func(name string) bool { return strings.Contains(name, "/ld-") }) {
		t.Errorf("the shell needs %q, %v", all, err)
	}
	program, err := pauseProgram(runtime.GOARCH)
	if err != nil {
		t.Skip(err)
	}
	static := filepath.Join(t.TempDir(), "pause")
	if err := os.WriteFile(static, program, 0o755); err != nil {
		t.Fatal(err)
	}
	if all, err := libraries(static); err != nil || all != nil {
		t.Errorf("a static program needs %q, %v", all, err)
	}
	if _, err := libraries("/dev/null"); err == nil {
		t.Error("what is no program is no error")
	}
	if got := loaded.FindAllStringSubmatch("\tlinux-vdso.so.1 (0x00007fd1dbf80000)\n\tlibc.so.6 => /lib/x y/libc.so.6 (0x00007fd1dbd8c000)\n\tlibm.so.6 => /lib/libm.so.6 (0x00007fd1dbd8c000)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007fd1dbf82000)\n", -1); len(got) != 3 || got[1][1] != "/lib/libm.so.6" || got[2][1] != "/lib64/ld-linux-x86-64.so.2" {
		t.Errorf("listed are %q", got)
	}
}

// Each side of a connection sees the end of the other, and an error as an error.
func TestJoin(t *testing.T) {
	pair := func() (here, there *net.TCPConn) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		dialled, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		accepted, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return dialled.(*net.TCPConn), accepted.(*net.TCPConn)
	}
	client, a := pair()
	b, server := pair()
	ended := make(chan struct{})
	go func() { join(a, b); close(ended) }()
	io.WriteString(client, "question")
	client.CloseWrite()
	if text, err := io.ReadAll(server); string(text) != "question" || err != nil {
		t.Errorf("the server reads %q, %v", text, err)
	}
	io.WriteString(server, "answer")
	server.Close()
	if text, err := io.ReadAll(client); string(text) != "answer" || err != nil {
		t.Errorf("the client reads %q, %v", text, err)
	}
	<-ended

	client, a = pair()
	b, server = pair()
	go join(a, b)
	reset(server)
	if _, err := io.ReadAll(client); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after a reset the client reads %v", err)
	}
}

// A container that is not known within a while is no caller. One that has gone is none either, unless
// another one has its address.
func TestCallerAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNames()
		at := &net.TCPAddr{IP: net.IPv4(172, 17, 0, 5), Port: 4711}
		address := netip.MustParseAddr("172.17.0.5")
		begin := time.Now()
		if from := n.callerAt(at); from != nil || time.Since(begin) != unknown {
			t.Errorf("after %v the caller is %v", time.Since(begin), from)
		}
		one, two := &caller{}, &caller{}
		time.AfterFunc(unknown-1, func() { n.register(netip.MustParseAddr("172.17.0.6"), two) })
		var forget func()
		time.AfterFunc(unknown/2, func() { forget = n.register(address, one) })
		begin = time.Now()
		if from := n.callerAt(at); from != one || time.Since(begin) != unknown/2 {
			t.Errorf("after %v the caller is %v", time.Since(begin), from)
		}
		synctest.Wait()
		later := n.register(address, two)
		forget()
		if from := n.callerAt(at); from != two {
			t.Error("the first container has taken the address of the second one with it")
		}
		later()
		if from := n.callerAt(at); from != nil {
			t.Error("a container that is gone calls")
		}
	})
}
