// Command plain writes the rule-free copies of the contract: for each record type
// one file that stands alone, with its comments and without validation rules.
//
//	plain IMAGE DIRECTORY
//
// IMAGE is a file that `buf build` wrote, with source information. It writes
// nothing unless all files can be written.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: plain IMAGE DIRECTORY")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "plain:", err)
		os.Exit(1)
	}
}

func run(image, directory string) error {
	contents, err := os.ReadFile(image)
	if err != nil {
		return fmt.Errorf("read the image: %w", err)
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(contents, set); err != nil {
		return fmt.Errorf("decode image %s: %w", image, err)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return fmt.Errorf("link image %s: %w", image, err)
	}
	// The record types. Each becomes the first message of its own file, so that its
	// Confluent message index is [0].
	roots := []protoreflect.FullName{
		"threadcast.v1.ThreadEvent", "threadcast.v1.ThreadSnapshot", "threadcast.v1.QuarantinedRecord",
	}
	texts := map[string][]byte{}
	for _, root := range roots {
		found, err := files.FindDescriptorByName(root)
		if err != nil {
			return fmt.Errorf("find %s in %s: %w", root, image, err)
		}
		text, err := render(found.(protoreflect.MessageDescriptor))
		if err != nil {
			return fmt.Errorf("print %s: %w", root, err)
		}
		texts[filepath.Base(found.ParentFile().Path())] = text
	}
	return write(directory, texts)
}

func write(directory string, texts map[string][]byte) error {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return fmt.Errorf("make the directory of the copies: %w", err)
	}
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(directory, name), text, 0o644); err != nil {
			return fmt.Errorf("write a copy: %w", err)
		}
	}
	return nil
}
