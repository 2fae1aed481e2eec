package config

import (
	"reflect"
	"strings"
	"time"
)

// kind is what may be written as a value.
type kind int

const (
	kindSection     kind = iota // a mapping with known keys
	kindSectionList             // a list of such mappings
	kindText
	kindEnum
	kindEnumList
	kindNumber
	kindDuration
)

// schema is a node of what the configuration may contain. It is derived from the types in config.go, so that the two
// cannot differ.
type schema struct {
	key      string // the last key on the way here
	path     string // the way here, lists as "listeners[]"
	kind     kind
	typ      reflect.Type // of a section, a section of a list, or a value
	field    int          // in the parent's struct
	allowed  []string     // the values of an enum
	children []*schema    // the keys of a section, in their order
}

func newSchema() *schema { return schemaOf(reflect.TypeFor[Config](), "", "") }

func schemaOf(t reflect.Type, key, path string) *schema {
	s := &schema{key: key, path: path, typ: t}
	switch {
	case t == reflect.TypeFor[time.Duration]():
		s.kind = kindDuration
	case t.Kind() == reflect.Struct:
		s.kind = kindSection
		for i := range t.NumField() {
			name := t.Field(i).Tag.Get("koanf")
			child := schemaOf(t.Field(i).Type, name, joined(path, name))
			child.field = i
			s.children = append(s.children, child)
		}
	case t.Kind() == reflect.Slice:
		element := schemaOf(t.Elem(), key, path+"[]")
		s = element
		s.kind = kindEnumList
		if t.Elem().Kind() == reflect.Struct {
			s.kind = kindSectionList
		}
	case t.Kind() == reflect.Int:
		s.kind = kindNumber
	default:
		s.kind = kindText
		if e, ok := reflect.Zero(t).Interface().(enum); ok {
			s.kind, s.allowed = kindEnum, e.allowed()
		}
	}
	return s
}

// child returns the key of a section, or nil.
func (s *schema) child(key string) *schema {
	for _, c := range s.children {
		if c.key == key {
			return c
		}
	}
	return nil
}

func (s *schema) isList() bool { return s.kind == kindSectionList || s.kind == kindEnumList }

// find returns the nodes at and below s that have this key.
func (s *schema) find(key string) []*schema {
	var found []*schema
	if s.key == key {
		found = append(found, s)
	}
	for _, c := range s.children {
		found = append(found, c.find(key)...)
	}
	return found
}

func keysOf(s *schema) []string {
	keys := make([]string, len(s.children))
	for i, c := range s.children {
		keys[i] = c.key
	}
	return keys
}

// asMap turns the struct that s describes into the form in which koanf holds it. Lists are left out: no default has
// one.
func (s *schema) asMap(v reflect.Value) map[string]any {
	m := make(map[string]any, len(s.children))
	for _, c := range s.children {
		switch field := v.Field(c.field); {
		case c.kind == kindSection:
			m[c.key] = c.asMap(field)
		case !c.isList():
			m[c.key] = field.Interface()
		}
	}
	return m
}

// suggestion is what to write instead of an unknown key of section s. meant is the sibling that was almost certainly
// meant, or empty. root is the schema as a whole.
func (s *schema) suggestion(root *schema, unknown string) (hint, meant string) {
	keys := keysOf(s)
	nearest, plausible := nearestOf(unknown, keys)
	if plausible {
		return "did you mean " + nearest + "?", nearest
	}
	for _, top := range []*schema{s, root} {
		if found := top.find(unknown); len(found) == 1 {
			return "did you mean " + strings.TrimSuffix(found[0].path, "[]") + "?", ""
		}
	}
	return "nearest known key: " + nearest + "; all here: " + strings.Join(keys, ", "), ""
}
