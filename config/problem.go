package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Source  string // the file, or the name of the environment variable
	Line    int    // from 1; 0 if the source has no lines
	Column  int
	Path    string // such as target_groups[0].connection_pool; empty for the file as a whole
	Message string // what is wrong and what to write instead
}

// String is source:line:column: path: message, without what is not known.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Source)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	if p.Path != "" {
		b.WriteString(": " + p.Path)
	}
	b.WriteString(": " + p.Message)
	return b.String()
}

// Problems is the error of a configuration that cannot be used: everything that is wrong, those of the file first, by
// place, then those of the environment, by name.
type Problems struct{ List []Problem }

// Error is one problem a line.
func (p *Problems) Error() string {
	lines := make([]string, len(p.List))
	for i, problem := range p.List {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// place is where a value was written.
type place struct {
	source       string
	line, column int
}

// findings collects the problems of one load, and the places of the values that problems are about.
type findings struct {
	file   string
	list   []Problem
	places map[string]place
	// spoiled are the paths whose value is not what was written, because that had a problem: what follows from
	// it is not worth a second one.
	spoiled map[string]bool
}

func newFindings(file string) *findings {
	return &findings{
		file:    file,
		places:  map[string]place{"": {file, 1, 1}},
		spoiled: map[string]bool{},
	}
}

// at notes a problem at a place.
func (f *findings) at(where place, path, format string, args ...any) {
	f.list = append(f.list, Problem{where.source, where.line, where.column, path, fmt.Sprintf(format, args...)})
}

// spoil notes a problem at a place, after which nothing more is said about the path and what is below it.
func (f *findings) spoil(where place, path, format string, args ...any) {
	f.at(where, path, format, args...)
	f.spoiled[path] = true
}

// of notes a problem of the value of path: at its place, or if it was not given, at what should contain it. It says
// nothing if the value is not what was written.
func (f *findings) of(path, format string, args ...any) {
	if f.isSpoiled(path) {
		return
	}
	container := path
	for {
		if where, ok := f.places[container]; ok {
			f.at(where, path, format, args...)
			return
		}
		container = parent(container)
	}
}

func (f *findings) isSpoiled(path string) bool {
	for ; path != ""; path = parent(path) {
		if f.spoiled[path] {
			return true
		}
	}
	return f.spoiled[""]
}

func (f *findings) given(path string) bool {
	_, ok := f.places[path]
	return ok
}

// err returns what was found, sorted, or nil.
func (f *findings) err() error {
	if len(f.list) == 0 {
		return nil
	}
	slices.SortStableFunc(f.list, func(a, b Problem) int {
		return cmp.Or(
			compareBool(a.Source != f.file, b.Source != f.file),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Source, b.Source),
			cmp.Compare(a.Path, b.Path),
		)
	})
	return &Problems{f.list}
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// parent cuts the last key or index off a path.
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

func joined(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func indexed(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
