package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// load is a client program with its arguments.
type load struct {
	name    string
	command func(ctx context.Context, p path, seconds int) *exec.Cmd

	progress *regexp.Regexp // of a report: seconds since the start, transactions a second
	count    *regexp.Regexp // in the summary: transactions
	rate     *regexp.Regexp // transactions a second
	latency  *regexp.Regexp // mean, milliseconds
}

// errTooShort says that a run had no time to measure in: pgbench's seconds begin before its clients have logged in.
var errTooShort = errors.New("no transactions between the first report and the end")

// run runs the load, and again for longer if it was too short.
func (l load) run(ctx context.Context, p path, seconds int) (result, error) {
	r, err := l.runOnce(ctx, p, seconds)
	if errors.Is(err, errTooShort) {
		return l.runOnce(ctx, p, 4*seconds)
	}
	return r, err
}

// mark is a moment in a load's run.
type mark struct {
	transactions float64
	cpu          time.Duration
}

func (l load) runOnce(ctx context.Context, p path, seconds int) (result, error) {
	cmd := l.command(ctx, p, seconds)
	reader, writer, err := os.Pipe()
	if err != nil {
		return result{}, err
	}
	defer func() { _ = reader.Close() }()
	cmd.Stdout, cmd.Stderr = writer, writer
	err = cmd.Start()
	_ = writer.Close() // the child has its own
	if err != nil {
		return result{}, err
	}
	first, output, readErr := l.follow(reader, p)
	if err := errors.Join(cmd.Wait(), readErr); err != nil {
		return result{}, fmt.Errorf("%w: %s", err, lastLines(output))
	}
	r, err := l.evaluate(output, first, p)
	if err != nil {
		return result{}, fmt.Errorf("%w: %s", err, lastLines(output))
	}
	return r, nil
}

// follow reads the load's output to its end, and the proxy's CPU time at the first report.
func (l load) follow(r io.Reader, p path) (first mark, output string, err error) {
	var all bytes.Buffer
	seen := false
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		all.WriteString(lines.Text() + "\n")
		m := l.progress.FindStringSubmatch(lines.Text())
		if seen || m == nil {
			continue
		}
		seen = true
		if p.pid != 0 {
			if first.cpu, err = cpuOf(p.pid); err != nil {
				return first, all.String(), err
			}
		}
		first.transactions = number(m[1]) * number(m[2])
	}
	if err := lines.Err(); err != nil {
		return first, all.String(), err
	}
	return first, all.String(), nil
}

// evaluate reads the summary. What happened after the first report counts for the proxy's CPU.
func (l load) evaluate(output string, first mark, p path) (result, error) {
	var r result
	var count float64
	for _, field := range []struct {
		pattern *regexp.Regexp
		into    *float64
	}{{l.count, &count}, {l.rate, &r.perSecond}, {l.latency, &r.latency}} {
		m := field.pattern.FindStringSubmatch(output)
		if m == nil && field.into != &count && count == 0 && l.count.MatchString(output) {
			return r, errTooShort // pgbench leaves the rest out
		}
		if m == nil {
			return r, fmt.Errorf("no %q in the output", field.pattern)
		}
		*field.into = number(m[1])
	}
	if p.pid == 0 {
		return r, nil
	}
	cpu, err := cpuOf(p.pid)
	if err != nil {
		return r, err
	}
	if first.transactions == 0 || count <= first.transactions {
		return r, errTooShort
	}
	r.cpu = float64((cpu - first.cpu).Microseconds()) / (count - first.transactions)
	return r, nil
}

// number of a text that a pattern has found to be one.
func number(text string) float64 {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return n
}

func lastLines(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " | ")
}
