package runners

import "testing"

func TestRootCause(t *testing.T) {
	for _, tc := range []struct{ cause, want string }{
		{"while executing:\ncaused by:\nouter\n\tcaused by:\ntopic t, partition 1, offset 5: no space", "topic t, partition 1, offset 5: no space"},
		{"java.io.IOException: broken\n\tat a.B.c(B.java:1)\n\tat d.E.f(E.java:2)", "java.io.IOException: broken"},
		{"bundle inst001 failed: SDK worker disconnected: worker[job-005[w]_Xbeam:env:external:v1], 2 active instructions",
			"the Java harness, which reads from Kafka, has ended: bundle inst001 failed: SDK worker disconnected: worker[job-005[w]_Xbeam:env:external:v1], 2 active instructions"},
	} {
		if got := rootCause(tc.cause); got != tc.want {
			t.Errorf("the essence of %q is %q, want %q", tc.cause, got, tc.want)
		}
	}
}
