package main

import (
	"buf.build/go/hyperpb"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// How many messages a profile is recorded from before the type is compiled again.
const profiled = 64

// hyperpb with memory shared by one message after the other and strings aliased to the input.
type hyper struct {
	shared *hyperpb.Shared
	// Whether the type is compiled again by the profile of this very message.
	isProfiled bool
}

func (engine *hyper) prepare(operation string, message *message) (perform, error) {
	kind, err := engine.compile(message)
	if err != nil {
		return nil, err
	}
	alias := hyperpb.WithAllowAlias(true)
	var encoded []byte
	after := func(then func(*hyperpb.Message) (any, error)) perform {
		return func() (any, error) {
			decoded := engine.shared.NewMessage(kind)
			defer engine.shared.Free()
			if err := decoded.Unmarshal(message.wire, alias); err != nil {
				return nil, err
			}
			return then(decoded)
		}
	}
	switch operation {
	case "decode":
		return after(func(*hyperpb.Message) (any, error) { return 0, nil }), nil
	case "decode-walk":
		return after(func(decoded *hyperpb.Message) (any, error) { return walk(decoded), nil }), nil
	case "reencode":
		return after(func(decoded *hyperpb.Message) (any, error) {
			var err error
			encoded, err = proto.MarshalOptions{}.MarshalAppend(encoded[:0], decoded)
			return encoded, err
		}), nil
	case "get":
		return after(func(decoded *hyperpb.Message) (any, error) { return get(decoded, message.Path) }), nil
	case "to-json":
		return after(func(decoded *hyperpb.Message) (any, error) {
			var err error
			encoded, err = protojson.MarshalOptions{}.MarshalAppend(encoded[:0], decoded)
			return encoded, err
		}), nil
	}
	return nil, nil
}

func (engine *hyper) compile(message *message) (*hyperpb.MessageType, error) {
	kind := hyperpb.CompileMessageDescriptor(message.descriptor)
	if !engine.isProfiled {
		return kind, nil
	}
	profile := kind.NewProfile()
	for range profiled {
		decoded := engine.shared.NewMessage(kind)
		err := decoded.Unmarshal(message.wire, hyperpb.WithRecordProfile(profile, 1))
		engine.shared.Free()
		if err != nil {
			return nil, err
		}
	}
	return kind.Recompile(profile), nil
}
