package main

import (
	"fmt"
	"slices"
)

// table collects the results of a suite.
type table struct {
	suite   suite
	paths   []path
	results map[[2]string][]result // by load and path
}

func newTable(s suite, paths []path) *table {
	return &table{s, paths, map[[2]string][]result{}}
}

func (t *table) add(load, path string, r result) {
	key := [2]string{load, path}
	t.results[key] = append(t.results[key], r)
}

// median of one figure of all rounds, 0 if none succeeded.
func (t *table) median(load, path string, figure func(result) float64) float64 {
	var all []float64
	for _, r := range t.results[[2]string{load, path}] {
		all = append(all, figure(r))
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	half := len(all) / 2
	if len(all)%2 == 1 {
		return all[half]
	}
	return (all[half-1] + all[half]) / 2
}

func (t *table) print() {
	fmt.Printf("\n## %s\n\n", t.suite.title)
	fmt.Printf("| load, clients | path | transactions/s | to %[1]s | latency, ms | proxy CPU, µs/transaction | to %[1]s |\n",
		t.suite.reference)
	fmt.Println("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
	for _, l := range t.suite.loads {
		rate := func(path string) float64 {
			return t.median(l.name, path, func(r result) float64 { return r.perSecond })
		}
		cpu := func(path string) float64 { return t.median(l.name, path, func(r result) float64 { return r.cpu }) }
		for _, p := range t.paths {
			latency := t.median(l.name, p.name, func(r result) float64 { return r.latency })
			fmt.Printf("| %s | %s | %s | %s | %s | %s | %s |\n", l.name, p.name, figure("%.0f", rate(p.name)),
				ratio(rate(p.name), rate(t.suite.reference)), figure("%.3f", latency), figure("%.1f", cpu(p.name)),
				ratio(cpu(p.name), cpu(t.suite.reference)))
		}
	}
	if c := t.suite.cost; c[0] != "" {
		t.printCost(c[0], c[1])
	}
}

// printCost prints what one load costs over another, on every path.
func (t *table) printCost(load, over string) {
	fmt.Printf("\n| proxy CPU, µs/transaction | %s | %s | ratio |\n| --- | ---: | ---: | ---: |\n", over, load)
	for _, p := range t.paths {
		cpu := func(load string) float64 { return t.median(load, p.name, func(r result) float64 { return r.cpu }) }
		fmt.Printf("| %s | %s | %s | %s |\n", p.name, figure("%.1f", cpu(over)), figure("%.1f", cpu(load)), ratio(cpu(load), cpu(over)))
	}
}

// figure prints what was measured; 0 was not.
func figure(format string, v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf(format, v)
}

func ratio(v, reference float64) string {
	if v == 0 || reference == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", v/reference)
}
