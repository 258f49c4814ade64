// Bench builds, marshals and serialises a graph of N execs with client/llb, and says how long that took.
//
// Usage: bench chain|wide N. The graph is that of benchmarks/llb/graph.py.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
)

type report struct {
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu"`
	RSS     int64   `json:"rss"`
	Bytes   int     `json:"bytes"`
	Ops     int     `json:"ops"`
	Head    string  `json:"head"`
}

func main() {
	n, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	text, err := os.ReadFile(os.Args[3])
	if err != nil {
		panic(err)
	}
	start, before := time.Now(), usage()
	st := graph(os.Args[1], n, llb.NewSourceMap(nil, os.Args[3], "Python", text))
	def, err := st.Marshal(context.Background(), llb.LinuxAmd64, llb.LocalUniqueID("bench"))
	if err != nil {
		panic(err)
	}
	var wire bytes.Buffer
	if err := llb.WriteTo(def, &wire); err != nil {
		panic(err)
	}
	elapsed := time.Since(start)
	head, err := def.Head()
	if err != nil {
		panic(err)
	}
	after := usage()
	cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()).Seconds()
	out := report{elapsed.Seconds(), cpu, after.Maxrss * 1024, wire.Len(), len(def.Def), head.String()}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		panic(err)
	}
	runtime.KeepAlive(st)
}

func usage() (used syscall.Rusage) {
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return used
}

func graph(shape string, n int, file *llb.SourceMap) llb.State {
	base := llb.Image("golang").Dir("/src").AddEnv("CGO_ENABLED", "0")
	st := base
	var wide []llb.State
	for i := range n {
		done := st.Run(
			llb.Args([]string{"/bin/sh", "-c", fmt.Sprintf("go build ./cmd/%d", i)}),
			llb.AddEnv("STEP", strconv.Itoa(i)),
			llb.AddMount("/root/.cache/go-build", llb.Scratch(),
				llb.AsPersistentCacheDir("go-build", llb.CacheMountShared)),
			llb.WithCustomName(fmt.Sprintf("build %d", i)),
			file.Location([]*pb.Range{{
				Start: &pb.Position{Line: 20, Character: 17}, End: &pb.Position{Line: 25, Character: 9},
			}}),
		).Root()
		if shape == "chain" {
			st = done
		} else {
			wide = append(wide, done)
		}
	}
	if shape == "chain" {
		return st
	}
	return llb.Merge(wide)
}
