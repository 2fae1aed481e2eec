package oracle

import "strings"

// Grammar makes texts. A rule is a name in angle brackets with its alternatives: sequences of tokens and rules with spaces
// between. The first alternative of every rule must end without recursion.
type Grammar struct {
	Rules map[string][]string
	// Tokens are rules whose alternatives are one token each, taken as they are, spaces and all.
	Tokens map[string][]string
	// Gaps may stand between any two tokens.
	Gaps []string
	// Joins says whether two tokens would be one without a gap.
	Joins func(left, right byte) bool
}

// Generator derives a text from a grammar. Which alternative it takes is said byte by byte by Choices, from a source of chance or
// from a fuzzer; when there are no more, it takes the first.
type Generator struct {
	Grammar *Grammar
	Choices []byte
	out     strings.Builder
	last    byte // that was written
	depth   int
}

// maxDepth bounds how deep rules nest, and maxText how long a text grows, in bytes.
const (
	maxDepth = 24
	maxText  = 4 << 10
)

// Text derives one text from a rule.
func (g *Generator) Text(rule string) string {
	g.out.Reset()
	g.last, g.depth = ' ', 0
	g.derive(rule)
	g.gap(false)
	return g.out.String()
}

// choose returns a number under n.
func (g *Generator) choose(n int) int {
	if len(g.Choices) == 0 || n <= 1 {
		return 0
	}
	c := int(g.Choices[0])
	g.Choices = g.Choices[1:]
	if n > 256 && len(g.Choices) > 0 {
		c = c<<8 | int(g.Choices[0])
		g.Choices = g.Choices[1:]
	}
	return c % n
}

func (g *Generator) derive(rule string) {
	g.depth++
	defer func() { g.depth-- }()
	if tokens := g.Grammar.Tokens[rule]; tokens != nil {
		g.token(tokens[g.choose(len(tokens))])
		return
	}
	alternatives := g.Grammar.Rules[rule]
	if alternatives == nil {
		panic("BUG: oracle: no rule " + rule)
	}
	n := 0
	if g.depth < maxDepth && g.out.Len() < maxText {
		n = g.choose(len(alternatives))
	}
	for _, t := range strings.Fields(alternatives[n]) {
		if inner, ok := strings.CutPrefix(t, "<"); ok && strings.HasSuffix(inner, ">") && len(inner) > 1 {
			g.derive(inner[:len(inner)-1])
			continue
		}
		g.token(g.recase(t))
	}
}

// token writes a token, and a gap in front of it where it needs one, or by chance.
func (g *Generator) token(t string) {
	g.gap(g.Grammar.Joins(g.last, t[0]))
	g.out.WriteString(t)
	g.last = t[len(t)-1]
}

// gap writes something that separates tokens.
func (g *Generator) gap(needed bool) {
	gaps := g.Grammar.Gaps
	switch n := g.choose(4 * len(gaps)); {
	case n > 0 && n < len(gaps):
		g.out.WriteString(gaps[n])
		g.last = ' '
	case needed || n >= 2*len(gaps):
		g.out.WriteByte(' ')
		g.last = ' '
	}
}

// recase writes a key word in another case.
func (g *Generator) recase(t string) string {
	switch g.choose(4) {
	case 1:
		return strings.ToLower(t)
	case 2:
		b := []byte(t)
		for i, c := range b {
			if c >= 'A' && c <= 'Z' && g.choose(2) == 1 {
				b[i] = c | 0x20
			}
		}
		return string(b)
	}
	return t
}
