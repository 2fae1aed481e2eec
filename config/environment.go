package config

import (
	"strings"

	"github.com/knadh/koanf/providers/env/v2"
)

const (
	envPrefix    = "BERTH_"
	envSeparator = "__"
)

// environment takes overrides from environment variables: BERTH_LOG__LEVEL is log.level.
type environment struct {
	*findings
	root *schema
}

// provider is the environment as a layer for koanf.
func (e *environment) provider(environ []string) *env.Env {
	return env.Provider(delimiter, env.Opt{
		Prefix:        envPrefix,
		TransformFunc: e.override,
		EnvironFunc:   func() []string { return environ },
	})
}

// override returns the path that a variable sets, in koanf's form, and its value. It returns an empty path for a
// variable that is no override, and for one that has a problem.
func (e *environment) override(variable, text string) (string, any) {
	name := strings.TrimPrefix(variable, envPrefix)
	keys := strings.Split(strings.ToLower(name), envSeparator)
	if len(keys) == 1 {
		if top := e.root.child(keys[0]); top == nil || top.kind == kindSection || top.isList() {
			return "", nil // such as BERTH_CACHE: another part's variable
		}
	}
	where := place{source: printable(variable)}
	s := e.root
	for i, key := range keys {
		if len(s.children) == 0 {
			e.at(where, s.path, "is a single value: set it with %s", variableOf(s.path))
			return "", nil
		}
		child := s.child(key)
		if child == nil || name != strings.ToUpper(name) {
			e.unknownVariable(where, s, keys, i)
			return "", nil
		}
		if child.isList() {
			e.at(where, child.key, "is a list, and what is in lists cannot be set from the environment: "+
				"write ${NAME} in the file instead")
			return "", nil
		}
		s = child
	}
	if s.kind == kindSection {
		e.at(where, s.path, "is a section: set one of its keys, such as %s", variableOf(s.children[0].path))
		return "", nil
	}
	e.places[s.path] = where
	v, err := parseScalar(s, text, quoted(text))
	if err != nil {
		e.spoil(where, s.path, "%s", err)
		return "", nil
	}
	delete(e.spoiled, s.path) // the file's value may be wrong, but this one counts
	return strings.ReplaceAll(s.path, ".", delimiter), v
}

// unknownVariable notes that section s has no keys[i].
func (e *environment) unknownVariable(where place, s *schema, keys []string, i int) {
	nearest, _ := nearestOf(keys[i], keysOf(s))
	if s.child(nearest).isList() {
		e.at(where, "", "unknown configuration variable (nearest is %s, a list, which only the file can set)", nearest)
		return
	}
	meant := append(append(append([]string{}, keys[:i]...), nearest), keys[i+1:]...)
	e.at(where, "", "unknown configuration variable (did you mean %s?)", printable(variableOf(strings.Join(meant, "."))))
}

// variableOf names the variable that sets path.
func variableOf(path string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", envSeparator))
}
