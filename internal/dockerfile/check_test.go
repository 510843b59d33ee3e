package dockerfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name, dir, file, text, target string
		err                           string // the whole error
	}{
		{name: "one stage", text: "FROM scratch\n"},
		{name: "no line end", text: "from scratch"},
		{name: "line ends of Windows", text: "# escape=`\r\nFROM node:24 `\r\n  AS app\r\nRUN a `\r\n  b\r\n", target: "app"},
		{name: "byte order mark", text: "\uFEFFFROM scratch\n"},
		{name: "arguments before", text: "ARG BASE=node:24\nARG OTHER\nFROM ${BASE} AS app\n", target: "app"},
		{name: "several stages", text: "FROM --platform=$BUILDPLATFORM node:24 AS build\nRUN npm ci\nFROM node:24-slim as run\nCOPY --from=build /app /app\n", target: "build"},
		{name: "stage in another case", text: "FROM node:24 AS Build\nFROM scratch\n", target: "bUILD"},
		{name: "stage by its place", text: "FROM node:24\nFROM scratch\n", target: "1"},
		{name: "heredoc with FROM", text: "FROM scratch\nRUN <<EOT\nFROM x AS inside\nNONSENSE\nEOT\n"},
		{name: "directives", text: "# syntax=docker/dockerfile:1.7\n# check=skip=all\nFROM scratch\n"},
		{name: "another syntax", text: "# syntax=example.org/yaml:1\nbuild: all\n", target: "any"},
		{name: "for images that build on it", text: "FROM node:24\nONBUILD COPY . .\n"},
		{name: "every instruction", text: "FROM a\nMAINTAINER m\nLABEL a=b\nENV a=b\nARG c\nWORKDIR /\nUSER 1\nADD a b\nCOPY a b\nVOLUME /v\nEXPOSE 1\nSHELL [\"a\"]\nSTOPSIGNAL 9\nHEALTHCHECK NONE\nENTRYPOINT a\nCMD [\"a\"]\n"},
		{name: "another file", dir: ".", file: "docker/tags.Dockerfile", text: "FROM scratch\n"},

		{name: "no directory", dir: "tgas", err: "there is no directory tgas: create it with a Dockerfile, or correct Dockerfile.Dir"},
		{name: "a file as directory", dir: "tags/Dockerfile", text: "FROM scratch\n", err: "there is no directory tags/Dockerfile: create it with a Dockerfile, or correct Dockerfile.Dir"},
		{name: "no Dockerfile", err: "there is no tags/Dockerfile: create it, or correct Dockerfile.File"},
		{name: "no such file", text: "FROM scratch\n", file: "docker/Dockerfile", err: "there is no tags/docker/Dockerfile: create it, or correct Dockerfile.File"},
		{name: "a directory as Dockerfile", file: "src", text: "FROM scratch\n", err: "tags/src cannot be read: is a directory"},
		{name: "empty", text: " ", err: "tags/Dockerfile is not a Dockerfile: file with no instructions"},
		{name: "only comments", text: "# FROM scratch\n", err: "tags/Dockerfile is not a Dockerfile: file with no instructions"},
		{name: "no FROM", text: "ARG A=b\n", err: "tags/Dockerfile is not a Dockerfile: it has no FROM"},
		{name: "something before FROM", text: "ARG A\nrun a\nFROM scratch\n", err: "tags/Dockerfile is not a Dockerfile: line 2: RUN comes before the first FROM"},
		{name: "another kind of file", text: "FROM scratch\n\n{\n  \"name\": \"tags\"\n}\n", err: "tags/Dockerfile is not a Dockerfile: line 3: there is no instruction {"},
		{name: "a misspelt instruction", text: "FROM scratch\nCOPPY a b\n", err: "tags/Dockerfile is not a Dockerfile: line 2: there is no instruction COPPY"},
		{name: "no image", text: "FROM\n", err: "tags/Dockerfile is not a Dockerfile: line 1: FROM needs an image, and may have AS and a name"},
		{name: "no name", text: "FROM a\nFROM node:24 AS\n", err: "tags/Dockerfile is not a Dockerfile: line 2: FROM needs an image, and may have AS and a name"},
		{name: "another word", text: "FROM node:24 IS app\n", err: "tags/Dockerfile is not a Dockerfile: line 1: FROM needs an image, and may have AS and a name"},
		{name: "heredoc without an end", text: "FROM scratch\nRUN <<EOT\na\n", err: "tags/Dockerfile is not a Dockerfile: unterminated heredoc"},
		{name: "unknown stage", text: "FROM a AS build\nFROM b\nFROM c AS run\n", target: "test", err: `tags/Dockerfile has no stage "test": its stages are build, run`},
		{name: "stage that is an image", text: "FROM node AS build\n", target: "node", err: `tags/Dockerfile has no stage "node": its stages are build`},
		{name: "stage in a heredoc", text: "FROM a\nRUN <<EOT\nFROM x AS inside\nEOT\n", target: "inside", err: `tags/Dockerfile has no stage "inside": its stages are without names`},
		{name: "place beyond the last", text: "FROM a\n", target: "1", err: `tags/Dockerfile has no stage "1": its stages are without names`},
		{name: "place below all", text: "FROM a\n", target: "-1", err: `tags/Dockerfile has no stage "-1": its stages are without names`},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			if err := os.MkdirAll(filepath.Join(root, "tags", "src"), 0o755); err != nil {
				t.Fatal(err)
			}
			dir := "tags"
			if test.dir != "" {
				dir = test.dir
			}
			if test.text != "" {
				file := "tags/Dockerfile"
				if test.err == "" && test.file != "" {
					file = test.file
				}
				if err := os.MkdirAll(filepath.Dir(filepath.Join(root, file)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(root, file), []byte(test.text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got := ""
			if err := Check(root, dir, test.file, test.target); err != nil {
				got = strings.ReplaceAll(err.Error(), root, "ROOT")
			}
			if got != test.err {
				t.Errorf("got  %s\nwant %s", got, test.err)
			}
		})
	}
}
