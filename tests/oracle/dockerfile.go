package main

import (
	"context"
	"net"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/solver/pb"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Dockerfile is a program that the Dockerfile frontend makes, in place of one of nodes. Platforms are those that the
// stages of a build may run on, the daemon's; the program's platform is the target's.
type Dockerfile struct {
	Text         string            `json:"text"`
	Target       string            `json:"target"`
	Args         map[string]string `json:"args"`
	Platforms    []string          `json:"platforms"`
	ManyTargets  bool              `json:"many_targets"`
	ResolveMode  string            `json:"resolve_mode"`
	Namespace    string            `json:"cache_namespace"`
	Network      string            `json:"network"`
	Hostname     string            `json:"hostname"`
	ExtraHosts   [][2]string       `json:"extra_hosts"`
	Ulimits      []Ulimit          `json:"ulimits"`
	CgroupParent string            `json:"cgroup_parent"`
	Resources    *Resources        `json:"resources"`
	ShmSize      int64             `json:"shm_size"`
	OldDaemon    bool              `json:"old_daemon"`
}

// dockerfile does what the frontend does in a daemon, where the daemon would have answered it.
func dockerfile(program Program) (*llb.Definition, error) {
	d, ctx := program.Dockerfile, context.Background()
	opt := dockerfile2llb.ConvertOpt{Config: d.config(), MetaResolver: resolver(program.Resolve)}
	if program.Platform != "" {
		target := platform(program.Platform)
		opt.TargetPlatform = &target
	}
	if !d.OldDaemon {
		caps := pb.Caps.CapSet(pb.Caps.All())
		opt.LLBCaps = &caps
	}
	var err error
	if opt.SourceMap, err = d.file(ctx, program.Unique); err != nil {
		return nil, err
	}
	made, err := dockerfile2llb.Dockerfile2LLB(ctx, []byte(d.Text), opt)
	if err != nil {
		return nil, err
	}
	return made.State.Marshal(ctx, llb.LocalUniqueID(program.Unique))
}

// file is the Dockerfile itself, of which the source map keeps how the client was asked for it.
func (d *Dockerfile) file(ctx context.Context, session string) (*llb.SourceMap, error) {
	st := llb.Local("dockerfile",
		llb.FollowPaths([]string{"Dockerfile", "Dockerfile.dockerignore", "dockerfile"}), llb.SessionID(session),
		llb.SharedKeyHint("dockerfile"), llb.Differ(llb.DiffNone, false),
		dockerui.WithInternalName("load build definition from Dockerfile"))
	def, err := st.Marshal(ctx)
	if err != nil {
		return nil, err
	}
	file := llb.NewSourceMap(&st, "Dockerfile", "Dockerfile", []byte(d.Text))
	file.Definition = def
	return file, nil
}

func (d *Dockerfile) config() dockerui.Config {
	config := dockerui.Config{
		BuildArgs: d.Args, Target: d.Target, CacheIDNamespace: d.Namespace, NetworkMode: network(d.Network),
		Hostname: d.Hostname, CgroupParent: d.CgroupParent, ShmSize: d.ShmSize, MultiPlatformRequested: d.ManyTargets,
	}
	if config.BuildArgs == nil {
		config.BuildArgs = map[string]string{} // the frontend writes into it
	}
	switch d.ResolveMode {
	case "pull":
		config.ImageResolveMode = llb.ResolveModeForcePull
	case "local":
		config.ImageResolveMode = llb.ResolveModePreferLocal
	}
	for _, text := range d.Platforms {
		config.BuildPlatforms = append(config.BuildPlatforms, platform(text))
	}
	if config.BuildPlatforms == nil {
		config.BuildPlatforms = []ocispecs.Platform{platforms.MustParse("linux/amd64")} // not this machine's
	}
	for _, pair := range d.ExtraHosts {
		config.ExtraHosts = append(config.ExtraHosts, llb.HostIP{Host: pair[0], IP: net.ParseIP(pair[1])})
	}
	for _, u := range d.Ulimits {
		config.Ulimits = append(config.Ulimits, &pb.Ulimit{Name: u.Name, Soft: u.Soft, Hard: u.Hard})
	}
	if r := d.Resources; r != nil {
		config.LinuxResources = &pb.LinuxResources{Memory: r.Memory, CpuShares: r.CPUShares, CpusetCpus: r.CpusetCpus}
	}
	return config
}
