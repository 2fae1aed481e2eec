package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document reads YAML along the schema into the form in which koanf holds it. A value with a problem is left out, so
// that the rest can still be checked.
type document struct {
	*findings
	root *schema
	// lookup is the environment for ${NAME}.
	lookup func(name string) (string, bool)
	// complete lays an element of a list of sections over its defaults.
	complete func(s *schema, element map[string]any) map[string]any
}

// read returns the top section of the text. It is never nil.
func (d *document) read(text []byte) map[string]any {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var top, second yaml.Node
	if err := decoder.Decode(&top); err != nil && !errors.Is(err, io.EOF) {
		d.syntax(err)
		return map[string]any{}
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		d.at(d.place(&second), "", "a second YAML document begins here: write everything in one")
	case !errors.Is(err, io.EOF):
		d.syntax(err)
	}
	if len(top.Content) == 0 {
		return map[string]any{}
	}
	node := top.Content[0]
	return d.section(node, d.root, "", d.place(node))
}

// yamlLine is how the YAML library says where a text does not parse.
var yamlLine = regexp.MustCompile(`^(?:line (\d+): )?(?s:(.*))$`)

// yamlCountsFromZero are the errors of the YAML library's parser. Unlike those of its scanner, their line counts from 0.
var yamlCountsFromZero = regexp.MustCompile(`^(did not find expected (<|node content|'-'|key|',')|` +
	`found (undefined tag handle|duplicate|incompatible))`)

// syntax notes that the text is no YAML. Everything that is missing then is no news.
func (d *document) syntax(err error) {
	where := place{d.file, 1, 1}
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	if parts := yamlLine.FindStringSubmatch(message); parts != nil {
		message = parts[2]
		if line, err := strconv.Atoi(parts[1]); err == nil && line > 0 {
			where.line = line
		}
		if parts[1] != "" && yamlCountsFromZero.MatchString(message) {
			where.line++
		}
	}
	d.spoil(where, "", "not valid YAML: %s", strings.Join(strings.Fields(message), " "))
}

func (d *document) place(n *yaml.Node) place {
	// A node without content, such as an empty document, has no place of its own.
	return place{d.file, max(n.Line, 1), max(n.Column, 1)}
}

// section reads a mapping. An empty value is an empty section: its keys may all be commented out.
func (d *document) section(n *yaml.Node, s *schema, path string, where place) map[string]any {
	section := map[string]any{}
	d.places[path] = where
	if isNull(n) {
		return section
	}
	if n.Kind != yaml.MappingNode {
		d.spoil(d.place(n), path, "must be a section with the keys %s", oneOf(keysOf(s)))
		return section
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			d.at(d.place(key), path, "a key must be a plain name: %s", oneOf(keysOf(s)))
			continue
		}
		keyPath := joined(path, key.Value)
		child := s.child(key.Value)
		if child == nil {
			d.unknownKey(key, s, path)
			continue
		}
		if line, twice := seen[key.Value]; twice {
			d.at(d.place(key), keyPath, "given twice, first in line %d: remove one", line)
			continue
		}
		seen[key.Value] = key.Line
		if v := d.value(value, child, keyPath, d.place(key)); v != nil {
			section[key.Value] = v
		}
	}
	return section
}

func (d *document) unknownKey(key *yaml.Node, s *schema, path string) {
	where, keyPath := d.place(key), joined(path, printable(key.Value))
	if key.ShortTag() == "!!merge" {
		d.at(where, keyPath, "merge keys are not supported: write the keys out")
		return
	}
	hint, meant := s.suggestion(d.root, key.Value)
	d.at(where, keyPath, "unknown key (%s)", hint)
	if meant != "" {
		// The misspelt key is the one that would be missed.
		d.spoiled[joined(path, meant)] = true
	}
}

// value reads what belongs to a key, or returns nil. key is the place of the key.
func (d *document) value(n *yaml.Node, s *schema, path string, key place) any {
	if n.Kind == yaml.AliasNode {
		d.spoil(d.place(n), path, "YAML aliases are not supported: write the value out")
		return nil
	}
	switch s.kind {
	case kindSection:
		return d.section(n, s, path, key)
	case kindSectionList:
		return d.list(n, path, key, "sections", func(element *yaml.Node, at string) any {
			if element.Kind == yaml.AliasNode {
				d.spoil(d.place(element), at, "YAML aliases are not supported: write the section out")
				return d.complete(s, nil)
			}
			return d.complete(s, d.section(element, s, at, d.place(element)))
		})
	case kindEnumList:
		one := *s
		one.kind = kindEnum
		return d.list(n, path, key, "values", func(element *yaml.Node, at string) any {
			return d.value(element, &one, at, d.place(element))
		})
	}
	if isNull(n) {
		d.places[path] = key
		d.spoil(key, path, "has no value: remove the key to get the default, or write %s", example(s))
		return nil
	}
	d.places[path] = d.place(n)
	if n.Kind != yaml.ScalarNode {
		d.spoil(d.place(n), path, "must be a single value: write %s", example(s))
		return nil
	}
	return d.scalar(n, s, path)
}

// list reads a sequence. Every element of a list of sections stays in the list whatever is wrong with it, so that
// indexes are those of the file.
func (d *document) list(
	n *yaml.Node, path string, key place, of string, read func(n *yaml.Node, path string) any,
) any {
	d.places[path] = key
	if isNull(n) {
		return []any{}
	}
	if n.Kind != yaml.SequenceNode {
		d.spoil(d.place(n), path, "must be a list of %s: begin each with a dash", of)
		return nil
	}
	list := make([]any, 0, len(n.Content))
	for i, element := range n.Content {
		if v := read(element, indexed(path, i)); v != nil {
			list = append(list, v)
		}
	}
	return list
}

func (d *document) scalar(n *yaml.Node, s *schema, path string) any {
	expanded, variables, err := expand(n.Value, d.lookup)
	if err != nil {
		d.spoil(d.place(n), path, "%s", err)
		return nil
	}
	// What a variable brought has no YAML type of its own, and is not shown: it may be a secret.
	shown := quoted(n.Value)
	if tag := n.ShortTag(); !variables && !writable(s.kind, tag) {
		d.spoil(d.place(n), path, "%s", wrongTag(s, shown, tag))
		return nil
	}
	v, err := parseScalar(s, expanded, shown)
	if err != nil {
		d.spoil(d.place(n), path, "%s", err)
		return nil
	}
	return v
}

// writable says whether a value of this YAML type can be meant for this kind. An enum tells by its allowed values.
func writable(k kind, tag string) bool {
	switch k {
	case kindText:
		return tag == "!!str"
	case kindNumber:
		return tag == "!!int"
	}
	return true
}

func wrongTag(s *schema, shown, tag string) string {
	switch {
	case s.kind == kindNumber && tag == "!!str":
		return fmt.Sprintf("%s is not a whole number: write one without quotes", shown)
	case s.kind == kindNumber:
		return fmt.Sprintf("%s is not a whole number", shown)
	}
	// The value is not quoted in the problem: it may be a token.
	return "is not text as YAML reads it: put it in quotes"
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}
