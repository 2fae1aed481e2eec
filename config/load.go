package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
)

const (
	// delimiter is what koanf joins keys with. No key contains it.
	delimiter = "\x1f"
	// maxFileSize is far above any real configuration: it keeps a wrong path from filling the memory.
	maxFileSize = 1 << 20
)

// Load reads the configuration file at path, and the overrides and the values for ${NAME} from environ, which has the
// form of os.Environ. The error is a *Problems.
func Load(path string, environ []string) (*Config, error) {
	text, err := readFile(path)
	if err != nil {
		f := newFindings(path)
		f.at(place{source: path}, "", "%s", err)
		return nil, f.err()
	}
	// Relative paths must not depend on where the process happens to be later.
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		f := newFindings(path)
		f.at(place{source: path}, "", "%s", err)
		return nil, f.err()
	}
	return parse(path, dir, text, environ)
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, bareError(err)
	}
	defer func() { _ = file.Close() }() // nothing was written
	text, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if err != nil {
		return nil, bareError(err)
	}
	if len(text) > maxFileSize {
		return nil, fmt.Errorf("larger than %d KiB: this is no configuration of Berth", maxFileSize>>10)
	}
	return text, nil
}

// bareError leaves the path out of an error: a problem names its source anyway.
func bareError(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}

// parse makes a Config of text. name is what problems call the file, dir what relative paths in it start from.
func parse(name, dir string, text []byte, environ []string) (*Config, error) {
	root := newSchema()
	found := newFindings(name)
	file := document{findings: found, root: root, lookup: lookupIn(environ), complete: complete}
	overrides := environment{findings: found, root: root}

	layers := koanf.New(delimiter)
	c := &Config{}
	err := errors.Join(
		layers.Load(confmap.Provider(root.asMap(reflect.ValueOf(defaultConfig())), ""), nil),
		layers.Load(confmap.Provider(file.read(text), ""), nil),
		layers.Load(overrides.provider(environ), nil),
		decode(layers, c),
	)
	if err != nil {
		// The layers hold only keys and types that the schema has, so that this says something about Berth.
		found.at(place{source: name}, "", "%s", strings.Join(strings.Fields(err.Error()), " "))
		return nil, found.err()
	}
	fillDerived(c, found.given)
	validate(c, found)
	if err := found.err(); err != nil {
		return nil, err
	}
	resolvePaths(c, dir)
	return c, nil
}

// decode fills c, which knows every key and every type, or fails.
func decode(layers *koanf.Koanf, c *Config) error {
	return layers.UnmarshalWithConf("", c, koanf.UnmarshalConf{
		DecoderConfig: &mapstructure.DecoderConfig{Result: c, ErrorUnused: true},
	})
}

// complete lays an element of a list over the defaults of such an element.
func complete(s *schema, element map[string]any) map[string]any {
	layers := koanf.New(delimiter)
	for _, layer := range []map[string]any{s.asMap(elementDefaults(s.typ)), element} {
		// A map loads without errors: koanf has one only for a provider or a parser that fails.
		_ = layers.Load(confmap.Provider(layer, ""), nil)
	}
	return layers.Raw()
}

// elementDefaults returns what an element of a list of this type starts from.
func elementDefaults(t reflect.Type) reflect.Value {
	switch t {
	case reflect.TypeFor[Listener]():
		return reflect.ValueOf(defaultListener())
	case reflect.TypeFor[TargetGroup]():
		return reflect.ValueOf(defaultTargetGroup())
	case reflect.TypeFor[Auth]():
		return reflect.ValueOf(defaultAuth())
	}
	return reflect.Zero(t)
}

// lookupIn makes a lookup of environ, where the last of equal names counts.
func lookupIn(environ []string) func(name string) (string, bool) {
	values := make(map[string]string, len(environ))
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok {
			values[name] = value
		}
	}
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

// resolvePaths makes relative file names start at dir.
func resolvePaths(c *Config, dir string) {
	resolve := func(path *string) {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	for i := range c.Listeners {
		tls := &c.Listeners[i].TLS
		resolve(&tls.CertFile)
		resolve(&tls.KeyFile)
		resolve(&tls.ClientCAFile)
	}
	for i := range c.TargetGroups {
		group := &c.TargetGroups[i]
		resolve(&group.TLS.CAFile)
		resolve(&group.Discovery.CAFile)
		resolve(&group.Discovery.Plugin.Path)
		for j := range group.Auth {
			secret := &group.Auth[j].Secret
			if path, ok := strings.CutPrefix(*secret, providerFile); ok {
				resolve(&path)
				*secret = providerFile + path
			}
		}
	}
}
