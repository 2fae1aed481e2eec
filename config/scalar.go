package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// parseScalar reads text as a value of the kind that s is. shown is what problems quote of it.
func parseScalar(s *schema, text, shown string) (any, error) {
	switch s.kind {
	case kindDuration:
		return parseDuration(text, shown)
	case kindNumber:
		n, err := strconv.Atoi(text)
		switch {
		case errors.Is(err, strconv.ErrRange):
			return nil, fmt.Errorf("%s is too large", shown)
		case err != nil:
			return nil, fmt.Errorf("%s is not a whole number", shown)
		}
		return n, nil
	case kindEnum:
		if !slices.Contains(s.allowed, text) {
			return nil, fmt.Errorf("%s is not known: write %s", shown, oneOf(s.allowed))
		}
	default:
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return nil, errors.New("must be UTF-8 text without zero bytes")
		}
	}
	return reflect.ValueOf(text).Convert(s.typ).Interface(), nil
}

func parseDuration(text, shown string) (any, error) {
	d, err := time.ParseDuration(text)
	switch {
	case err == nil && d < 0:
		return nil, fmt.Errorf("%s is negative: write a duration like 30s, or 0", shown)
	case err == nil:
		return d, nil
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return nil, fmt.Errorf("%s has no unit: write a duration like 30s or 5m", shown)
	}
	return nil, fmt.Errorf("%s is not a duration: write one like 30s, 5m or 1h30m", shown)
}

// example is what a value of this kind looks like.
func example(s *schema) string {
	switch s.kind {
	case kindDuration:
		return "a duration like 30s"
	case kindNumber:
		return "a whole number"
	case kindEnum:
		return oneOf(s.allowed)
	}
	return `text, "" if it is to be empty`
}

func oneOf(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	last := len(values) - 1
	return strings.Join(values[:last], ", ") + " or " + values[last]
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expand replaces ${NAME} in text by the variable NAME, once: what a variable contains stays as it is. $${ stands for
// ${, and any other dollar sign for itself. variables says whether there was one.
func expand(text string, lookup func(string) (string, bool)) (out string, variables bool, err error) {
	if !strings.Contains(text, "${") {
		return text, false, nil
	}
	var b strings.Builder
	for text != "" {
		switch {
		case strings.HasPrefix(text, "$${"):
			b.WriteString("${")
			text = text[len("$${"):]
		case strings.HasPrefix(text, "${"):
			name, rest, closed := strings.Cut(text[len("${"):], "}")
			if !closed {
				return "", false, errors.New("${ has no closing brace: write ${NAME}, or $${ for a literal ${")
			}
			if !variableName.MatchString(name) {
				return "", false, fmt.Errorf("${%s} does not name an environment variable: write ${NAME}, "+
					"or $${ for a literal ${", printable(name))
			}
			value, ok := lookup(name)
			if !ok {
				return "", false, fmt.Errorf("environment variable %s is not set: set it, or write $${ for a literal ${", name)
			}
			b.WriteString(value)
			variables, text = true, rest
		default:
			b.WriteByte(text[0])
			text = text[1:]
		}
	}
	return b.String(), variables, nil
}

// printable keeps what a file contains from breaking the lines, or the terminal, that problems are printed to.
func printable(text string) string {
	const longest = 64
	var b strings.Builder
	for _, r := range text {
		if b.Len() >= longest {
			b.WriteString("...")
			break
		}
		if !unicode.IsPrint(r) {
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}

func quoted(text string) string { return strconv.Quote(printable(text)) }
