// Package dockerfile reads Dockerfiles.
package dockerfile

import (
	"io"
	"os"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// Instruction is an instruction of a Dockerfile. Variables are not replaced.
type Instruction struct {
	// Name is in upper case.
	Name string
	// Words are the arguments without flags. ENV has three for each variable: name, value, separator.
	Words []string
	// Flags are like "--from=build".
	Flags []string
	// List says that the words are a JSON list, and not a line for a shell.
	List bool
	// HereDocument says that lines below belong to the instruction.
	HereDocument bool
	// Line is the number of the first line.
	Line int
	// Text is the instruction as it is written.
	Text string
}

// File is a Dockerfile.
type File struct {
	Instructions []Instruction
	// Escape is the character that escapes another one.
	Escape rune
}

// Read is [Parse] for the file of a name.
func Read(name string) (*File, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return Parse(file)
}

// Parse reads a Dockerfile. Names of instructions are not checked
// (https://docs.docker.com/reference/dockerfile/).
func Parse(text io.Reader) (*File, error) {
	parsed, err := parser.Parse(text)
	if err != nil {
		return nil, err
	}
	f := &File{Escape: parsed.EscapeToken}
	for _, node := range parsed.AST.Children {
		i := Instruction{
			Name: strings.ToUpper(node.Value), Flags: node.Flags, List: node.Attributes["json"],
			HereDocument: len(node.Heredocs) > 0, Line: node.StartLine, Text: node.Original,
		}
		for word := node.Next; word != nil; word = word.Next {
			i.Words = append(i.Words, word.Value)
		}
		f.Instructions = append(f.Instructions, i)
	}
	return f, nil
}
