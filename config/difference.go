package config

import "reflect"

// Differences returns the paths of the keys in which two configurations differ, in the order of the schema. Lists of
// sections are compared element by element; where their lengths differ the path is the list's.
func Differences(a, b *Config) []string {
	return differences(newSchema(), "", reflect.ValueOf(*a), reflect.ValueOf(*b))
}

func differences(s *schema, path string, a, b reflect.Value) (paths []string) {
	switch s.kind {
	case kindSectionList:
		if a.Len() != b.Len() {
			return []string{path}
		}
		for i := range a.Len() {
			paths = append(paths, inSection(s, indexed(path, i), a.Index(i), b.Index(i))...)
		}
		return paths
	case kindSection:
		return inSection(s, path, a, b)
	case kindEnumList:
		if a.Len() == 0 && b.Len() == 0 { // given as empty, or not given
			return nil
		}
	}
	if reflect.DeepEqual(a.Interface(), b.Interface()) {
		return nil
	}
	return []string{path}
}

func inSection(s *schema, path string, a, b reflect.Value) (paths []string) {
	for _, c := range s.children {
		paths = append(paths, differences(c, joined(path, c.key), a.Field(c.field), b.Field(c.field))...)
	}
	return paths
}
