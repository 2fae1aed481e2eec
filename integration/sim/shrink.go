package sim

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A run is determined by its seed and its config, which the seed makes up. So a failure is made smaller by changing the config and
// keeping the seed; a variant is another order of the same.

// knob is a part of a config that may be turned down.
type knob struct {
	name  string
	least int // where it does least
	at    any // *int, *bool, *time.Duration (in ms)
}

// knobs are all, those first that make a run shorter.
func (c *config) knobs() []knob {
	f := &c.faults
	return []knob{
		{"clients", 1, &c.clients}, {"sessions", 1, &c.sessions}, {"batches", 1, &c.batches}, {"loops", 1, &c.loops},
		{"pipeline", 2, &c.pipeline}, {"failover", 0, &c.failover}, {"targets", 1, &c.targets}, {"reload", 0, &c.reload},
		{"pause", 0, &c.pause}, {"drain", 0, &c.drain}, {"resize", 0, &c.resize}, {"kills", 0, &c.kills},
		{"leave", 0, &c.leave}, {"stall", 0, &c.stall}, {"pins", 0, &c.pins}, {"sticky", 0, &c.sticky}, {"mariadb", 0, &c.mariaDB}, {"files", 0, &c.files},
		{"refuse_dial", 0, &f.refuseDial}, {"tear", 0, &f.tear}, {"bye", 0, &f.bye}, {"slow", 0, &f.slow},
		{"notice", 0, &f.notice}, {"cancel", 0, &f.cancel}, {"poller", 0, &f.poller}, {"hang", 0, &f.hang}, {"slow_server", 0, &f.stall}, {"half", 0, &f.half},
		{"query_limit", 0, &c.times.Query}, {"transaction_limit", 0, &c.times.Transaction},
		{"idle_limit", 0, &c.times.IdleInTransaction}, {"idle_client", 0, &c.idleTimeout},
		{"lifetime", 0, &c.pool.MaxLifetime}, {"idle_backend", 0, &c.pool.IdleTimeout},
		{"sleep", 1, &c.sleep}, {"max", 1, &c.pool.Max}, {"dials", 1, &c.pool.MaxDials},
		{"variant", 0, &c.variant},
	}
}

func (k knob) get() int {
	switch at := k.at.(type) {
	case *int:
		return *at
	case *time.Duration:
		return int(at.Milliseconds())
	case *bool:
		if *at {
			return 1
		}
	}
	return 0
}

func (k knob) set(n int) {
	switch at := k.at.(type) {
	case *int:
		*at = n
	case *time.Duration:
		*at = time.Duration(n) * time.Millisecond
	case *bool:
		*at = n != 0
	}
}

// changes are what differs from the config that a seed makes up.
type changes map[string]int

func (ch changes) apply(c *config) {
	for _, k := range c.knobs() {
		if n, ok := ch[k.name]; ok {
			k.set(n)
		}
	}
	c.pool.MaxIdle = min(c.pool.MaxIdle, c.pool.Max)
}

func (ch changes) String() string {
	var parts []string
	for _, k := range new(config).knobs() {
		if n, ok := ch[k.name]; ok {
			parts = append(parts, k.name+"="+strconv.Itoa(n))
		}
	}
	return strings.Join(parts, ",")
}

// parseChanges reads what String writes.
func parseChanges(s string) (changes, error) {
	ch := changes{}
	for part := range strings.SplitSeq(s, ",") {
		name, value, _ := strings.Cut(part, "=")
		n, err := strconv.Atoi(value)
		known := false
		for _, k := range new(config).knobs() {
			known = known || k.name == name
		}
		switch {
		case part == "":
		case err != nil || !known:
			return nil, fmt.Errorf("sim: %q changes nothing", part)
		default:
			ch[name] = n
		}
	}
	return ch, nil
}

var particular = regexp.MustCompile(`"[^"]*"|[0-9.]+([mµn]?s)?`)

// sortOf is what a failure has in common with others of its sort.
func sortOf(err error) string {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return particular.ReplaceAllString(first, "")
}

// with is ch and one more.
func (ch changes) with(name string, n int) changes {
	out := changes{name: n}
	for k, v := range ch {
		if k != name {
			out[k] = v
		}
	}
	return out
}

// variants are how many orders of the same are tried.
const variants = 4

// shrink turns down what can be, of a config c with which fails says that a run fails, and returns the changes. tries bounds how often
// it asks.
func shrink(c config, tries int, fails func(changes) bool) changes {
	best := changes{}
	attempt := func(ch changes) bool {
		for v := range variants {
			if tries--; tries < 0 {
				return false
			}
			if v > 0 {
				ch = ch.with("variant", v)
			}
			if fails(ch) {
				best = ch
				return true
			}
		}
		return false
	}
	for progress := true; progress; {
		progress = false
		for _, k := range c.knobs() {
			if k.name == "variant" {
				continue
			}
			now := c
			best.apply(&now)
			value := now.value(k.name)
			for _, n := range []int{k.least, (k.least + value) / 2, value - 1} {
				if n < value && n >= k.least && attempt(best.with(k.name, n)) {
					progress = true
					break
				}
			}
		}
	}
	return best
}

// value is what a knob is at.
func (c *config) value(name string) int {
	for _, k := range c.knobs() {
		if k.name == name {
			return k.get()
		}
	}
	return 0
}
