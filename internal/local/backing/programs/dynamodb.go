package programs

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"

	"cutover/internal/child"
)

// dynamoDBLocal has AWS's DynamoDB Local in its directory emulator. The licence of DynamoDB Local is beside the
// jar, in LICENSE.txt. It forbids to redistribute DynamoDB Local, so that nothing here contains it.
var dynamoDBLocal = npmPackage{"amplify-dynamodb-simulator", "2.9.30",
	"sha512-xTeeRLvzEfqyd5lh3bH4c0kHvSHHmmhD5ZDsHFKAQ5g2Zl6JqlFdutaQhCLHzxEp6Ry1o7TB6niIoXuQAnSewQ=="}

// dynamoDBImage is DynamoDB Local for Docker, in about the version of the package.
const dynamoDBImage = "amazon/dynamodb-local:2.5.3"

// minJava is the oldest Java that runs DynamoDB Local.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DynamoDBLocal.DownloadingAndRunning.html
const minJava = 17

// FindDynamoDB finds DynamoDB Local: the jar, if there is Java, and otherwise the image, if there is Docker.
func FindDynamoDB(ctx context.Context) (Found, error) {
	java, err := findJava(ctx)
	if err == nil {
		dir, err := dynamoDBLocal.fetch(ctx)
		if err != nil {
			return Found{}, fmt.Errorf("DynamoDB Local is missing: %w", err)
		}
		return Found{"DynamoDB Local", dynamoDBLocal.String(), func(_ context.Context, data string, port int) (launch, error) {
			return dynamoDBByJava(java, filepath.Join(dir, "emulator"), data, port), nil
		}}, nil
	}
	if docker, missing := exec.LookPath("docker"); missing == nil && exec.CommandContext(ctx, docker, "version").Run() == nil {
		return Found{"DynamoDB Local", "image " + dynamoDBImage, func(ctx context.Context, data string, port int) (launch, error) {
			return dynamoDBByDocker(ctx, docker, data, port), nil
		}}, nil
	}
	return Found{}, fmt.Errorf("DynamoDB Local needs Java %d or later, or a Docker engine: %w."+
		" Install Java, on Debian and Ubuntu with: apt-get install default-jre-headless", minJava, err)
}

// StartDynamoDB finds and starts DynamoDB Local with all data in a directory. All credentials and regions see
// the same tables.
func StartDynamoDB(ctx context.Context, dir string) (*Program, error) {
	found, err := FindDynamoDB(ctx)
	if err != nil {
		return nil, err
	}
	return found.Start(ctx, dir)
}

var javaVersion = regexp.MustCompile(`version "(\d+)`)

// findJava returns the Java of JAVA_HOME or PATH, if it is new enough.
func findJava(ctx context.Context) (string, error) {
	name := "java"
	if home := os.Getenv("JAVA_HOME"); home != "" {
		name = filepath.Join(home, "bin", "java")
	}
	java, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is not there", name)
	}
	out, err := exec.CommandContext(ctx, java, "-version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s -version: %w", java, err)
	}
	match := javaVersion.FindSubmatch(out)
	if match == nil {
		return "", fmt.Errorf("%s does not say its version", java)
	}
	if version, _ := strconv.Atoi(string(match[1])); version < minJava {
		return "", fmt.Errorf("%s is Java %d", java, version)
	}
	return java, nil
}

func dynamoDBByJava(java, emulator, data string, port int) launch {
	// The options are in https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DynamoDBLocal.UsageNotes.html.
	cmd := exec.Command(java, "-Xmx512m", "-Djava.library.path="+filepath.Join(emulator, "DynamoDBLocal_lib"),
		"-jar", filepath.Join(emulator, "DynamoDBLocal.jar"), "-sharedDb", "-disableTelemetry",
		"-dbPath", data, "-port", strconv.Itoa(port))
	cmd.Dir = emulator
	cmd.SysProcAttr = child.Attributes(syscall.SIGTERM)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	return launch{cmd, "http://" + address, func() bool { return answers(address) }, syscall.SIGTERM}
}

func dynamoDBByDocker(ctx context.Context, docker, data string, port int) launch {
	name := fmt.Sprintf("cutover-dynamodb-%d", port)
	_ = exec.CommandContext(ctx, docker, "rm", "-f", name).Run() // a container outlives a docker command that was killed
	cmd := exec.Command(docker, "run", "--rm", "--name", name, "--user", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()),
		"-p", fmt.Sprintf("127.0.0.1:%d:8000", port), "-v", data+":/data", dynamoDBImage,
		"-jar", "DynamoDBLocal.jar", "-sharedDb", "-disableTelemetry", "-dbPath", "/data")
	cmd.SysProcAttr = child.Attributes(syscall.SIGTERM)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	return launch{cmd, "http://" + address, func() bool { return answers(address) }, syscall.SIGTERM}
}
