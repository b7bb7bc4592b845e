package main

import (
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"
)

// protobuf-go's dynamic messages, one reset and parsed into again and again.
type dynamic struct {
	types *dynamicpb.Types
}

func (engine *dynamic) prepare(operation string, message *message) (perform, error) {
	reused := dynamicpb.NewMessage(message.descriptor)
	var encoded []byte
	decode := func() error { return proto.Unmarshal(message.wire, reused) }
	encode := func(from proto.Message) (any, error) {
		var err error
		encoded, err = proto.MarshalOptions{}.MarshalAppend(encoded[:0], from)
		return encoded, err
	}
	change := func() (any, error) {
		if err := decode(); err != nil {
			return nil, err
		}
		if err := set(reused, message.Path, message.NewValue); err != nil {
			return nil, err
		}
		return encode(reused)
	}
	after := func(then func() (any, error)) perform {
		return func() (any, error) {
			if err := decode(); err != nil {
				return nil, err
			}
			return then()
		}
	}
	switch operation {
	case "decode":
		return after(func() (any, error) { return 0, nil }), nil
	case "decode-walk":
		return after(func() (any, error) { return walk(reused), nil }), nil
	case "reencode":
		return after(func() (any, error) { return encode(reused) }), nil
	case "reencode-one", "set":
		return change, nil
	case "get":
		return after(func() (any, error) { return get(reused, message.Path) }), nil
	case "to-json":
		return after(func() (any, error) {
			var err error
			encoded, err = protojson.MarshalOptions{Resolver: engine.types}.MarshalAppend(encoded[:0], reused)
			return encoded, err
		}), nil
	case "from-json":
		options := protojson.UnmarshalOptions{Resolver: engine.types}
		return func() (any, error) {
			if err := options.Unmarshal(message.json, reused); err != nil {
				return nil, err
			}
			return encode(reused)
		}, nil
	case "trim":
		return after(func() (any, error) {
			trim(reused, message.Mask)
			return encode(reused)
		}), nil
	}
	return nil, nil
}
