package target

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/relay"
)

// kin is a cast whose servers know each other.
type kin struct {
	actors

	seeds int // how often the seed was connected to; under the cast's lock

	mu    sync.Mutex
	tells map[string][]engine.Instance // by who is asked
	err   map[string]error
}

func (k *kin) Watch(ctx context.Context, t engine.Target) (engine.Watch, error) {
	w, err := k.actors.Watch(ctx, t)
	if err != nil {
		return nil, err
	}
	if t.Name == "seed" {
		k.cast.mu.Lock()
		defer k.cast.mu.Unlock()
		k.seeds++
	}
	return &relative{w.(*scripted), k}, nil
}

// relative is a monitoring connection to one of them.
type relative struct {
	*scripted
	kin *kin
}

func (r *relative) Survey(context.Context, engine.Topology) ([]engine.Instance, error) {
	r.kin.mu.Lock()
	defer r.kin.mu.Unlock()
	return r.kin.tells[r.name], r.kin.err[r.name]
}

// say makes servers tell of instances: "w" is said to be the writer, "r+" to be old.
func (k *kin) say(who string, instances ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []engine.Instance
	for _, name := range instances {
		i := engine.Instance{ID: strings.TrimSuffix(name, "+"), Writer: name[0] == 'w', Lag: time.Hour, LagKnown: true}
		if strings.HasSuffix(name, "+") {
			i.Age = fresh + time.Second
		}
		all = append(all, i)
	}
	for _, name := range strings.Fields(who) {
		k.tells[name] = all
	}
}

// family runs a group of servers that know each other, of which the first is the seed.
func family(t *testing.T, names ...string) (*kin, *Group) {
	c := &cast{facts: map[string]engine.Facts{}, err: map[string]error{}, asked: map[string]int{}, conns: map[string]*scripted{}}
	for _, name := range names {
		c.set(name, name[0] != 'w', nil)
	}
	k := &kin{actors: actors{cast: c}, tells: map[string][]engine.Instance{}, err: map[string]error{}}
	c.set("seed", false, nil)
	k.say("seed", names...)
	k.say(strings.Join(names, " "), names...)
	g := New(Config{
		Name: "g", Engine: k, Limits: Limits{MaxPercent: 100},
		Discovery: Discovery{Interval: time.Second, Survey: &Survey{
			Seed: engine.Target{Name: "seed", Address: "seed:1"}, Name: "the test",
			Locate: func(i engine.Instance) (engine.Target, error) {
				if i.ID == "bad" {
					return engine.Target{}, errors.New("no such place")
				}
				return engine.Target{Name: i.ID, Address: i.ID + ":1"}, nil
			},
		}},
	}, new(atomic.Uint64), zerolog.Nop())
	go g.Run(t.Context(), newWorker())
	g.AwaitFirst(t.Context())
	return k, g
}

func TestServersTellWhoTheOthersAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, g := family(t, "w", "r1")
		leads(t, g, relay.ReadWrite, "w")
		leads(t, g, relay.ReadOnly, "r1")
		wait := func() { time.Sleep(3 * time.Second); synctest.Wait() }

		k.cast.set("r2", true, nil)
		k.say("w", "w", "r1", "r2")
		wait()
		leads(t, g, relay.ReadOnly, "r1r2")
		k.say("r1 r2", "r1") // the writer knows better
		wait()
		leads(t, g, relay.ReadOnly, "r1r2")
		k.say("w", "w", "r1+", "r2")
		wait()
		leads(t, g, relay.ReadOnly, "r2")

		for cause, bad := range map[string]func(){
			"no server":     func() { k.say("w") },
			"no such place": func() { k.say("w", "bad") },
			"w:1 was asked for its cluster: it refuses: function does not exist (42883)": func() {
				k.mu.Lock()
				defer k.mu.Unlock()
				k.err["w"] = &engine.ServerError{Code: "42883", Message: "function does not exist"}
			},
		} {
			bad()
			wait()
			if got := g.Discovery().Cause; !strings.Contains(got, cause) {
				t.Errorf("%s: %s", cause, got)
			}
			leads(t, g, relay.ReadWrite, "w")
			leads(t, g, relay.ReadOnly, "r2")
			k.mu.Lock()
			clear(k.err)
			k.mu.Unlock()
		}
		k.say("w", "w", "bad", "r2")
		wait()
		leads(t, g, relay.ReadOnly, "r2")
		if got := g.Discovery(); got.Cause != "" || got.LeftOut != "no such place" {
			t.Errorf("one is nowhere: %+v", got)
		}
		k.say("w r2", "w", "r2")
		wait()
		if got := g.Discovery().Cause; got != "" {
			t.Errorf("at last: %s", got)
		}
	})
}

func TestOfTwoThatAreSaidToBeTheWriterTheOneThatWasHeardOfLastIsATarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, g := family(t, "w1", "r")
		k.say("w1", "w2+", "w1", "r")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if n := len(g.Members()); n != 2 {
			t.Errorf("%d targets", n)
		}
		k.say("w1", "w1+", "r") // nobody has heard of it for long, but who else is the writer?
		time.Sleep(3 * time.Second)
		synctest.Wait()
		leads(t, g, relay.ReadWrite, "w1")
	})
}

func TestANewWriterIsFoundAsSoonAsAReplicaTellsOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, g := family(t, "w", "r1")
		k.cast.set("w", false, errors.New("it is gone"))
		time.Sleep(2 * soon)
		leads(t, g, relay.ReadWrite, "")
		k.cast.set("w2", false, nil)
		k.say("r1 w2", "w2", "r1")
		time.Sleep(2 * soon) // and not the interval
		leads(t, g, relay.ReadWrite, "w2")
	})
}

func TestTheSeedLeadsToAWriterOfWhomNoReplicaKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, g := family(t, "w", "r1")
		k.cast.set("w", false, errors.New("it is gone"))
		k.say("r1", "r1")
		k.cast.set("w2", false, nil)
		k.say("seed w2", "w2", "r1")
		time.Sleep(2 * time.Second)
		leads(t, g, relay.ReadWrite, "w2")
	})
}

func TestWhatTheSeedHasToldCountsBesideWhatIsHeardSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, g := family(t, "w", "r1")
		k.cast.set("w", false, errors.New("it is gone"))
		k.say("r1", "r1")
		k.cast.set("w2", false, errors.New("it is not up yet"))
		k.cast.set("r3", true, nil)
		k.say("seed", "w2", "r1")
		names := func() (all []string) {
			for _, m := range g.Members() {
				all = append(all, m.target.Name)
			}
			return all
		}
		for range 30 {
			if time.Sleep(soon); slices.Contains(names(), "w2") {
				break
			}
		}
		k.say("r1", "r1", "r3") // which makes the group ask anew, the seed not among them
		time.Sleep(2 * soon)
		synctest.Wait()
		if got := names(); !slices.Equal(got, []string{"r1", "r3", "w2"}) {
			t.Errorf("the targets are %q", got)
		}
	})
}

func TestTheSeedIsAskedAgainWhenNobodyElseAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, g := family(t, "w", "r1")
		asked := func() int {
			k.cast.mu.Lock()
			defer k.cast.mu.Unlock()
			return k.seeds
		}
		seeds := asked()
		k.cast.set("w2", false, nil)
		k.say("seed w2", "w2")
		time.Sleep(time.Minute)
		leads(t, g, relay.ReadWrite, "w")
		if n := asked() - seeds; n != 0 {
			t.Errorf("there is a writer, and the seed was asked %d times", n)
		}
		k.cast.set("w", false, errors.New("it is gone"))
		k.cast.set("r1", true, errors.New("it is gone"))
		time.Sleep(3 * time.Second)
		leads(t, g, relay.ReadWrite, "w2")
		k.cast.set("w2", false, errors.New("it is gone, too"))
		k.cast.set("seed", false, errors.New("no way"))
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if got := g.Discovery().Cause; got != "seed:1 was asked for its cluster: no way" {
			t.Errorf("nobody is there: %s", got)
		}
	})
}

func TestALagThatNobodyKnowsIsNotTakenForNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, g := family(t, "w", "r1")
		k.mu.Lock()
		for who, all := range k.tells {
			all = slices.Clone(all) // what has been told is another's
			for i := range all {
				all[i].Lag, all[i].LagKnown = 0, false
			}
			k.tells[who] = all
		}
		k.mu.Unlock()
		g.SetReplicas(Replicas{MaxLag: time.Minute, WaitForReplica: true})
		time.Sleep(2 * time.Minute)
		leads(t, g, relay.ReadOnly, "")
	})
}

func TestALagThatOnlyTheClusterKnowsCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, g := family(t, "w", "r1")
		synctest.Wait()
		for _, m := range g.Members() {
			f := m.Health().Facts
			if want := m.target.Name == "r1"; f.LagKnown != want || want && f.Lag < time.Hour-time.Second {
				t.Errorf("%s: %+v", m.target.Name, f)
			}
		}
		g.SetReplicas(Replicas{MaxLag: time.Minute, WaitForReplica: true})
		time.Sleep(3 * time.Second)
		leads(t, g, relay.ReadOnly, "")
	})
}
