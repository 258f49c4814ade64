// The oracle says what BuildKit's own client/llb makes of a build.
//
// It reads a JSON list of programs from stdin and writes a JSON list of answers, in the same order.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	capspb "github.com/moby/buildkit/util/apicaps/pb"
	digest "github.com/opencontainers/go-digest"
	"google.golang.org/protobuf/proto"
)

// Answer is a marshalled program, or why it could not be. Definition is a pb.Definition on the wire.
type Answer struct {
	Name       string              `json:"name"`
	Error      string              `json:"error,omitempty"`
	Definition []byte              `json:"definition"`
	Digests    []string            `json:"digests"`
	Ops        [][]byte            `json:"ops"`
	Metadata   map[string]Metadata `json:"metadata"`
	Source     *Source             `json:"source"`
}

type Metadata struct {
	IgnoreCache bool              `json:"ignore_cache"`
	Description map[string]string `json:"description"`
	ExportCache *bool             `json:"export_cache"`
	Caps        []string          `json:"caps"`
	Group       *Group            `json:"group"`
	Resources   *Resources        `json:"resources"`
}

type Source struct {
	Infos     []Info              `json:"infos"`
	Locations map[string][][5]int `json:"locations"`
}

type Info struct {
	Filename string `json:"filename"`
	Language string `json:"language"`
	Data     []byte `json:"data"`
}

func main() {
	var programs []Program
	decoder := json.NewDecoder(os.Stdin)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&programs); err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
	answers := make([]Answer, 0, len(programs))
	for _, program := range programs {
		answer, err := marshal(program)
		if err != nil {
			answer = Answer{Error: err.Error()}
		}
		answer.Name = program.Name
		answers = append(answers, answer)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
}

func marshal(program Program) (answer Answer, err error) {
	def, err := definition(program)
	if err != nil {
		return answer, err
	}
	// As llb.WriteTo, but with the maps in order, so that golden files made of it change only when the build does.
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(def.ToPB())
	if err != nil {
		return answer, err
	}
	answer.Definition, answer.Ops, answer.Metadata = wire, def.Def, map[string]Metadata{}
	for _, op := range def.Def {
		answer.Digests = append(answer.Digests, digest.FromBytes(op).String())
	}
	for dgst, md := range def.Metadata {
		answer.Metadata[dgst.String()] = metadata(md.ToPB())
	}
	answer.Source = source(def.Source)
	return answer, nil
}

func definition(program Program) (*llb.Definition, error) {
	if program.Dockerfile != nil {
		return dockerfile(program)
	}
	b := &builder{program: program, files: map[Location]*llb.SourceMap{}, chains: map[string]llb.CopyInput{}}
	st, err := b.build()
	if err != nil {
		return nil, err
	}
	return st.Marshal(context.Background(), marshalOptions(program)...)
}

func marshalOptions(program Program) []llb.ConstraintsOpt {
	b := &builder{program: program}
	opts := append(b.constraints(program.Every), llb.Platform(platform(program.Platform)), llb.LocalUniqueID(program.Unique))
	if program.SetsPath != nil {
		caps := []*capspb.APICap{{ID: string(pb.CapExecMetaSetsDefaultPath), Enabled: *program.SetsPath}}
		opts = append(opts, llb.WithCaps(pb.Caps.CapSet(caps)))
	}
	return opts
}

func metadata(md *pb.OpMetadata) Metadata {
	m := Metadata{IgnoreCache: md.IgnoreCache, Description: md.Description}
	if md.ExportCache != nil {
		m.ExportCache = &md.ExportCache.Value
	}
	for id, needed := range md.Caps {
		if needed {
			m.Caps = append(m.Caps, string(id))
		}
	}
	slices.Sort(m.Caps)
	if g := md.ProgressGroup; g != nil {
		m.Group = &Group{ID: g.Id, Name: g.Name, Weak: g.Weak}
	}
	if r := md.LinuxResources; r != nil {
		m.Resources = &Resources{
			Memory: r.Memory, MemorySwap: r.MemorySwap, CPUShares: r.CpuShares, CPUPeriod: r.CpuPeriod,
			CPUQuota: r.CpuQuota, CpusetCpus: r.CpusetCpus, CpusetMems: r.CpusetMems,
		}
	}
	return m
}

func source(s *pb.Source) *Source {
	if s == nil {
		return nil
	}
	found := &Source{Locations: map[string][][5]int{}}
	for _, info := range s.Infos {
		found.Infos = append(found.Infos, Info{Filename: info.Filename, Language: info.Language, Data: info.Data})
	}
	for dgst, locations := range s.Locations {
		list := [][5]int{}
		for _, l := range locations.Locations {
			for _, r := range l.Ranges {
				list = append(list, [5]int{
					int(l.SourceIndex), int(r.Start.Line), int(r.Start.Character), int(r.End.Line), int(r.End.Character),
				})
			}
		}
		found.Locations[dgst] = list
	}
	return found
}

func normalized(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ref
	}
	return reference.TagNameOnly(named).String()
}
