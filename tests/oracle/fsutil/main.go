// Command fsutil shows what BuildKit's own file transfer does, for pyllb's tests to compare with.
//
//	fsutil match           stdin: JSON list of {patterns, paths}; stdout: JSON list of {error, matched}
//	fsutil walk            stdin: JSON list of {root, include, exclude, follow}; stdout: list of {error, entries}
//	fsutil send ROOT       plays the sender; packets on stdin and stdout, each behind its length (4 bytes, big endian)
//	fsutil receive ROOT    plays the receiver, as the client's local exporter does; packets likewise
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	gofs "io/fs"
	"os"
	"sync"

	"github.com/moby/patternmatcher"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "match":
		return eachCase(match)
	case len(args) == 1 && args[0] == "walk":
		return eachCase(walk)
	case len(args) == 2 && args[0] == "send":
		return send(args[1])
	case len(args) == 2 && args[0] == "receive":
		return receive(args[1])
	}
	return fmt.Errorf("usage: fsutil match|walk|send ROOT|receive ROOT")
}

func eachCase[In, Out any](answer func(In) Out) error {
	var cases []In
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		return err
	}
	answers := make([]Out, 0, len(cases))
	for _, one := range cases {
		answers = append(answers, answer(one))
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

type matchCase struct {
	Patterns []string `json:"patterns"`
	Paths    []string `json:"paths"`
}

type matchAnswer struct {
	Error   string `json:"error"`
	Matched []bool `json:"matched"`
}

func match(c matchCase) (answer matchAnswer) {
	matcher, err := patternmatcher.New(c.Patterns)
	if err != nil {
		return matchAnswer{Error: err.Error()}
	}
	for _, path := range c.Paths {
		var matched bool
		var info patternmatcher.MatchInfo
		for at := 1; at <= len(path); at++ { // each directory above, as a walk comes by
			if at < len(path) && path[at] != '/' {
				continue
			}
			if matched, info, err = matcher.MatchesUsingParentResults(path[:at], info); err != nil {
				return matchAnswer{Error: err.Error()}
			}
		}
		answer.Matched = append(answer.Matched, matched)
	}
	return answer
}

type walkCase struct {
	Root    string   `json:"root"`
	Include []string `json:"include"`
	Exclude []string `json:"exclude"`
	Follow  []string `json:"follow"`
}

type walkEntry struct {
	Path     string `json:"path"` // base64: it need not be UTF-8
	Mode     uint32 `json:"mode"`
	Size     int64  `json:"size"`
	ModTime  int64  `json:"mtime"`
	Linkname string `json:"linkname"` // base64
	Devmajor int64  `json:"devmajor"`
	Devminor int64  `json:"devminor"`
}

type walkAnswer struct {
	Error   string      `json:"error"`
	Entries []walkEntry `json:"entries"`
}

func walk(c walkCase) walkAnswer {
	answer := walkAnswer{Entries: []walkEntry{}}
	root, err := fsutil.NewFS(c.Root)
	if err == nil {
		root, err = fsutil.NewFilterFS(root, &fsutil.FilterOpt{
			IncludePatterns: c.Include, ExcludePatterns: c.Exclude, FollowPaths: c.Follow,
		})
	}
	if err == nil {
		err = fsutil.WithHardlinkReset(root).Walk(context.Background(), "/", func(_ string, entry gofs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			stat := info.Sys().(*types.Stat)
			answer.Entries = append(answer.Entries, walkEntry{
				Path: encoded(stat.Path), Mode: stat.Mode, Size: stat.Size, ModTime: stat.ModTime,
				Linkname: encoded(stat.Linkname), Devmajor: stat.Devmajor, Devminor: stat.Devminor,
			})
			return nil
		})
	}
	if err != nil {
		answer.Error = err.Error()
	}
	return answer
}

func encoded(name string) string {
	return base64.StdEncoding.EncodeToString([]byte(name))
}

func send(path string) error {
	root, err := fsutil.NewFS(path)
	if err != nil {
		return err
	}
	stream := newStream()
	if err := fsutil.Send(stream.Context(), stream, root, nil); err != nil {
		return err
	}
	return nil
}

func receive(path string) error {
	osRoot, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	root := fsutil.NewRoot(osRoot)
	defer root.Close()
	stream := newStream()
	return fsutil.ReceiveRoot(stream.Context(), stream, root, fsutil.ReceiveOpt{
		Merge: true,
		Filter: func(_ string, stat *types.Stat) bool {
			stat.Uid, stat.Gid = uint32(os.Getuid()), uint32(os.Getgid())
			return true
		},
	})
}

type stream struct {
	mu  sync.Mutex
	in  *bufio.Reader
	out *bufio.Writer
}

func newStream() *stream {
	return &stream{in: bufio.NewReaderSize(os.Stdin, 1<<20), out: bufio.NewWriter(os.Stdout)}
}

func (s *stream) Context() context.Context { return context.Background() }

func (s *stream) SendMsg(m any) error {
	data, err := m.(*types.Packet).MarshalVT()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := binary.Write(s.out, binary.BigEndian, uint32(len(data))); err != nil {
		return err
	}
	if _, err := s.out.Write(data); err != nil {
		return err
	}
	return s.out.Flush()
}

func (s *stream) RecvMsg(m any) error {
	var size uint32
	if err := binary.Read(s.in, binary.BigEndian, &size); err != nil {
		return err
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(s.in, data); err != nil {
		return err
	}
	packet := m.(*types.Packet)
	packet.Reset()
	return packet.UnmarshalVT(data)
}
