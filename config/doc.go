// Package config reads Berth's configuration: a YAML file over the defaults, environment variables over the file.
//
// [Load] is all there is. It returns a [Config] in which every default is filled in and everything was checked, or
// [*Problems] with all that is wrong at once, each with its place, its key path and what to write instead. Nothing is
// guessed: unknown keys, keys given twice, values of the wrong type and dangling names are problems.
//
// The schema is the struct types of config.go; the key names are their koanf tags. A file passes four steps:
//
//   - document.go walks the YAML nodes along the schema, notes the place of every value and replaces ${NAME} by the
//     environment variable of that name ($${ stands for ${ itself);
//   - environment.go takes BERTH_LOG__LEVEL=debug as log.level: debug, for values outside lists only, since an
//     override inside a list would replace the whole list;
//   - load.go lays the three on each other with koanf and decodes the result strictly;
//   - validate.go checks what a type cannot say: ranges, addresses, names that must be unique or must exist.
//
// A Config is an immutable value: a reload loads a new one, and nobody writes to one that was loaded. The package
// knows no engine, opens no socket and reads no file but the configuration itself; secrets stay references.
package config
