package main

import (
	"errors"
	"math"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

var errNowhere = errors.New("the path leads nowhere")

// The message that the last field of the path is in, and that field.
func follow(at protoreflect.Message, path []step, mutable bool) (protoreflect.Message, protoreflect.FieldDescriptor, error) {
	for _, step := range path[:len(path)-1] {
		field := at.Descriptor().Fields().ByNumber(step.Number)
		if !at.Has(field) {
			return nil, nil, errNowhere
		}
		value := at.Get(field)
		if mutable {
			value = at.Mutable(field)
		}
		if step.Index == nil {
			at = value.Message()
			continue
		}
		if value.List().Len() <= *step.Index {
			return nil, nil, errNowhere
		}
		at = value.List().Get(*step.Index).Message()
	}
	field := at.Descriptor().Fields().ByNumber(path[len(path)-1].Number)
	if !at.Has(field) {
		return nil, nil, errNowhere
	}
	return at, field, nil
}

func get(root protoreflect.Message, path []step) (uint64, error) {
	parent, field, err := follow(root, path, false)
	if err != nil {
		return 0, err
	}
	return scalar(field, parent.Get(field)), nil
}

func set(root protoreflect.Message, path []step, value int64) error {
	parent, field, err := follow(root, path, true)
	if err != nil {
		return err
	}
	switch field.Kind() {
	case protoreflect.Int32Kind:
		parent.Set(field, protoreflect.ValueOfInt32(int32(value)))
	case protoreflect.Uint32Kind:
		parent.Set(field, protoreflect.ValueOfUint32(uint32(value)))
	case protoreflect.Uint64Kind:
		parent.Set(field, protoreflect.ValueOfUint64(uint64(value)))
	default:
		parent.Set(field, protoreflect.ValueOfInt64(value))
	}
	return nil
}

// Clears what the mask does not name.
func trim(at protoreflect.Message, mask []string) {
	at.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		var inner []string
		for _, path := range mask {
			head, rest, deeper := strings.Cut(path, ".")
			if head != string(field.Name()) {
				continue
			}
			if !deeper {
				return true
			}
			inner = append(inner, rest)
		}
		switch {
		case inner == nil:
			at.Clear(field)
		case field.IsList():
			for index := range value.List().Len() {
				trim(value.List().Get(index).Message(), inner)
			}
		default:
			trim(value.Message(), inner)
		}
		return true
	})
}

// The sum of all scalars: integers with their sign extended, enums by number, booleans as 0 and 1, floating point as the
// bits of a double, strings and bytes by length; keys and values of maps alike.
func walk(at protoreflect.Message) uint64 {
	var sum uint64
	at.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsMap():
			key, element := field.MapKey(), field.MapValue()
			value.Map().Range(func(at protoreflect.MapKey, value protoreflect.Value) bool {
				sum += scalar(key, at.Value()) + one(element, value)
				return true
			})
		case field.IsList():
			list := value.List()
			for index := range list.Len() {
				sum += one(field, list.Get(index))
			}
		default:
			sum += one(field, value)
		}
		return true
	})
	return sum
}

func one(field protoreflect.FieldDescriptor, value protoreflect.Value) uint64 {
	if field.Message() != nil {
		return walk(value.Message())
	}
	return scalar(field, value)
}

func scalar(field protoreflect.FieldDescriptor, value protoreflect.Value) uint64 {
	switch field.Kind() {
	case protoreflect.BoolKind:
		if value.Bool() {
			return 1
		}
		return 0
	case protoreflect.EnumKind:
		return uint64(int64(value.Enum()))
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return math.Float64bits(value.Float())
	case protoreflect.StringKind:
		return uint64(len(value.String()))
	case protoreflect.BytesKind:
		return uint64(len(value.Bytes()))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return value.Uint()
	default:
		return uint64(value.Int())
	}
}
