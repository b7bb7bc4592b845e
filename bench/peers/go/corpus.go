package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// A field, and which element of it when it is repeated.
type step struct {
	Number protoreflect.FieldNumber `json:"number"`
	Index  *int                     `json:"index"`
}

// A message and what is done to it.
type message struct {
	Name     string   `json:"name"`
	Type     string   `json:"message_type"`
	Path     []step   `json:"path"`
	NewValue int64    `json:"new_value"`
	Mask     []string `json:"mask"`

	wire, json []byte
	descriptor protoreflect.MessageDescriptor
}

// Everything that is measured.
type corpus struct {
	messages map[string]*message
	types    *dynamicpb.Types
}

func readCorpus(folder string) (*corpus, error) {
	schema, err := os.ReadFile(filepath.Join(folder, "schema.binpb"))
	if err != nil {
		return nil, err
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(schema, set); err != nil {
		return nil, err
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, err
	}
	described, err := os.ReadFile(filepath.Join(folder, "cases.json"))
	if err != nil {
		return nil, err
	}
	var messages []*message
	if err := json.Unmarshal(described, &messages); err != nil {
		return nil, err
	}
	read := &corpus{messages: map[string]*message{}, types: dynamicpb.NewTypes(files)}
	for _, message := range messages {
		found, err := files.FindDescriptorByName(protoreflect.FullName(message.Type))
		if err != nil {
			return nil, err
		}
		descriptor, ok := found.(protoreflect.MessageDescriptor)
		if !ok {
			return nil, fmt.Errorf("%s is not a message", message.Type)
		}
		message.descriptor = descriptor
		if message.wire, err = os.ReadFile(filepath.Join(folder, message.Name+".binpb")); err != nil {
			return nil, err
		}
		if message.json, err = os.ReadFile(filepath.Join(folder, message.Name+".json")); err != nil {
			return nil, err
		}
		read.messages[message.Name] = message
	}
	return read, nil
}
