package suites

import "testing"

func TestALineWhoseTestFailsWithoutAProxyTooIsNotHeldToBeNeedless(t *testing.T) {
	a := &accepted{way: "any", server: "any", test: "pool.close*"}
	for _, c := range []struct {
		direct, through string
		want            bool
	}{{"fail", "fail", true}, {"pass", "pass", false}, {"fail", "pass", false}, {"skip", "skip", false}} {
		direct, through := results{"pool.open": "fail", "pool.close[1]": c.direct}, results{"pool.open": "fail", "pool.close[1]": c.through}
		if got := a.failsAnyway(direct, through); got != c.want {
			t.Errorf("directly %s, through the proxy %s: %v", c.direct, c.through, got)
		}
	}
}
