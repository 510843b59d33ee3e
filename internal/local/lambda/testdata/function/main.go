// function is a function of Lambda for the tests, which does what the event says.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"time"
)

// event says what to do.
type event struct {
	// Do is echo, error, exit, hang, eat, big, late, background, child or twice.
	Do string
	// File is a file that the function waits for, or writes.
	File string
	// MiB is how much memory to use.
	MiB int
}

// result is what the function returns.
type result struct {
	PID, Invocations int
	Request, ARN     string
	Deadline         string
	Dir              string
	Version          string // what the code says
	Env              []string
}

// Version is set by the tests.
var version string

const runtimePath = "/2018-06-01/runtime/"

func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + runtimePath
	switch file := os.Getenv("INIT_FILE"); os.Getenv("INIT") {
	case "error":
		post(api+"init/error", []byte(`{"errorType":"Own.Error","errorMessage":"no configuration"}`))
		os.Exit(1)
	case "exit":
		os.Exit(3)
	case "once": // fails as long as the file is not there
		if _, err := os.Stat(file); err != nil {
			_ = os.WriteFile(file, nil, 0o600)
			os.Exit(1)
		}
	}
	fmt.Println("started", version)
	for n := 1; ; n++ {
		response, err := http.Get(api + "invocation/next")
		if err != nil {
			return
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		id := response.Header.Get("Lambda-Runtime-Aws-Request-Id")
		var e event
		_ = json.Unmarshal(body, &e)
		dir, _ := os.Getwd()
		answer, _ := json.Marshal(result{os.Getpid(), n, id, response.Header.Get("Lambda-Runtime-Invoked-Function-Arn"), response.Header.Get("Lambda-Runtime-Deadline-Ms"), dir, version, os.Environ()})
		switch e.Do {
		case "error":
			post(api+"invocation/"+id+"/error", []byte(`{"errorType":"Own.Error","errorMessage":"as asked"}`))
			continue
		case "exit":
			fmt.Fprintln(os.Stderr, "it ends")
			os.Exit(3)
		case "hang":
			if e.File != "" {
				_ = os.WriteFile(e.File, nil, 0o600)
			}
			select {}
		case "eat":
			eaten := bytes.Repeat([]byte{1}, e.MiB<<20)
			_ = os.WriteFile(e.File, eaten[:1], 0o600)
			select {}
		case "big":
			answer = bytes.Repeat([]byte("1"), 6<<20+1)
		case "background":
			go count(e.File)
		case "child":
			command := exec.Command("/bin/sh", "-c", "while true; do echo >> "+e.File+"; done")
			if err := command.Start(); err != nil {
				panic(err)
			}
		case "twice":
			post(api+"invocation/"+id+"/response", answer)
			fmt.Println("again:", post(api+"invocation/"+id+"/response", answer))
			continue
		case "wait":
			wait(e.File)
		}
		post(api+"invocation/"+id+"/response", answer)
		if e.Do == "late" {
			wait(e.File)
		}
	}
}

func post(url string, body []byte) int {
	response, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

// wait waits until a file is there.
func wait(file string) {
	for {
		if _, err := os.Stat(file); err == nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// count lets a file grow.
func count(file string) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	for err == nil {
		_, err = f.WriteString("x")
		time.Sleep(time.Millisecond)
	}
}
