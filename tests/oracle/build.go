package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/llbbuild"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/solver/pb"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/protobuf/proto"
)

type builder struct {
	program Program
	states  []llb.State
	mounts  []map[string]llb.State
	files   map[Location]*llb.SourceMap
	chains  map[string]llb.CopyInput
}

func (b *builder) state(node *int) llb.State {
	if node == nil {
		return llb.Scratch()
	}
	return b.states[*node]
}

func (b *builder) build() (llb.State, error) {
	for _, node := range b.program.Nodes {
		b.mounts = append(b.mounts, map[string]llb.State{})
		made, err := b.node(node)
		if err != nil {
			return made, err
		}
		b.states = append(b.states, made)
	}
	if b.program.Result != nil {
		return b.states[*b.program.Result], nil
	}
	return b.states[len(b.states)-1], nil
}

func (b *builder) node(n Node) (llb.State, error) {
	st := b.state(n.On)
	switch n.Op {
	case "scratch":
		return llb.Scratch(), nil
	case "image", "local", "git", "http", "oci_layout", "image_blob", "oci_layout_blob":
		return b.source(n)
	case "definition":
		return b.definition(n, st)
	case "build":
		var opts []llbbuild.BuildOption
		if n.Filename != "" {
			opts = append(opts, llbbuild.WithFilename(n.Filename))
		}
		for _, c := range b.constraints(n.Constraints) {
			opts = append(opts, llbbuild.WithConstraints(c))
		}
		return st.With(llbbuild.Build(opts...)), nil
	case "env":
		return st.AddEnv(n.Key, n.Value), nil
	case "dir":
		return st.Dir(n.Value), nil
	case "reset":
		return st.Reset(b.states[n.States[0]]), nil
	case "user":
		return st.User(n.Value), nil
	case "hostname":
		return st.Hostname(n.Value), nil
	case "network":
		return st.Network(network(n.Value)), nil
	case "security":
		return st.Security(security(n.Value)), nil
	case "ulimit":
		return st.AddUlimit(llb.UlimitName(n.Key), n.Soft, n.Hard), nil
	case "extra_host":
		return st.AddExtraHost(n.Key, net.ParseIP(n.Value)), nil
	case "cgroup_parent":
		return st.WithCgroupParent(n.Value), nil
	case "platform":
		return st.Platform(platform(n.Value)), nil
	case "run":
		return b.run(n, st)
	case "mount":
		made, ok := b.mounts[*n.On][n.Target]
		if !ok {
			return made, fmt.Errorf("node %d has no mount %q", *n.On, n.Target)
		}
		return made, nil
	case "file":
		action, err := b.actions(n.Actions)
		if err != nil {
			return st, err
		}
		return st.File(action, b.constraints(n.Constraints)...), nil
	case "merge":
		var inputs []llb.State
		for _, i := range n.States {
			inputs = append(inputs, b.states[i])
		}
		return llb.Merge(inputs, b.constraints(n.Constraints)...), nil
	case "diff":
		return llb.Diff(b.state(n.Lower), b.state(n.Upper), b.constraints(n.Constraints)...), nil
	case "requires":
		var others []llb.State
		for _, i := range n.States {
			others = append(others, b.states[i])
		}
		return st.Requires(n.Key, others...), nil
	case "passthrough":
		return b.passthrough(n), nil
	}
	return st, fmt.Errorf("no op %q", n.Op)
}

func (b *builder) definition(n Node, st llb.State) (llb.State, error) {
	def := &pb.Definition{}
	if n.On != nil {
		made, err := st.Marshal(context.Background(), marshalOptions(b.program)...)
		if err != nil {
			return st, err
		}
		def = made.ToPB()
	} else if err := proto.Unmarshal(n.Data, def); err != nil {
		return st, err
	}
	op, err := llb.NewDefinitionOp(def)
	if err != nil {
		return st, err
	}
	return llb.NewState(op.Output()), nil
}

func (b *builder) passthrough(n Node) llb.State {
	var inputs []llb.PassthroughInput
	for place, i := range n.States {
		inputs = append(inputs, llb.PassthroughInput{State: b.states[i], Output: slices.Contains(n.Outputs, place)})
	}
	op := llb.NewPassthroughOp(n.Key, inputs, b.constraints(n.Constraints)...)
	return b.states[n.States[n.Outputs[n.Index]]].WithOutput(op.OutputAt(n.Index))
}

func (b *builder) constraints(c Constraints) (opts []llb.ConstraintsOpt) {
	if c.Platform != "" {
		opts = append(opts, llb.Platform(platform(c.Platform)))
	}
	if len(c.Filters) > 0 {
		opts = append(opts, llb.Require(c.Filters...))
	}
	if c.Description != nil {
		opts = append(opts, llb.WithDescription(c.Description))
	}
	if c.Title != "" {
		opts = append(opts, llb.WithCustomName(c.Title))
	}
	if c.IgnoreCache {
		opts = append(opts, llb.IgnoreCache)
	}
	if c.ExportCache != nil && *c.ExportCache {
		opts = append(opts, llb.WithExportCache())
	} else if c.ExportCache != nil {
		opts = append(opts, llb.WithoutExportCache())
	}
	if c.Group != nil {
		opts = append(opts, llb.ProgressGroup(c.Group.ID, c.Group.Name, c.Group.Weak))
	}
	if r := c.Resources; r != nil {
		opts = append(opts, llb.WithLinuxResources(llb.LinuxResources{
			Memory: r.Memory, MemorySwap: r.MemorySwap, CPUShares: r.CPUShares, CPUPeriod: r.CPUPeriod,
			CPUQuota: r.CPUQuota, CpusetCpus: r.CpusetCpus, CpusetMems: r.CpusetMems,
		}))
	}
	for _, l := range c.Locations {
		file := Location{Filename: l.Filename, Language: l.Language, Data: l.Data}
		if b.files[file] == nil {
			b.files[file] = llb.NewSourceMap(nil, l.Filename, l.Language, []byte(l.Data))
		}
		opts = append(opts, b.files[file].Location([]*pb.Range{{
			Start: &pb.Position{Line: l.Range[0], Character: l.Range[1]},
			End:   &pb.Position{Line: l.Range[2], Character: l.Range[3]},
		}}))
	}
	return opts
}

func (b *builder) source(n Node) (llb.State, error) {
	constraints := b.constraints(n.Constraints)
	switch n.Op {
	case "image":
		return b.image(n, constraints), nil
	case "local":
		return local(n, constraints), nil
	case "git":
		return git(n, constraints), nil
	case "oci_layout":
		opts := append(options[llb.OCILayoutOption](constraints), llb.OCIStore(n.Session, n.Store))
		if n.LayerLimit != nil {
			opts = append(opts, llb.OCILayerLimit(*n.LayerLimit))
		}
		return llb.OCILayout(n.Ref, opts...), nil
	case "image_blob":
		return llb.ImageBlob(n.Ref, blob(n, constraints)...), nil
	case "oci_layout_blob":
		return llb.OCILayoutBlob(n.Ref, append(blob(n, constraints), llb.ImageBlobOCIStore(n.Session, n.Store))...), nil
	}
	return http(n, constraints), nil
}

func (b *builder) image(n Node, constraints []llb.ConstraintsOpt) llb.State {
	opts := options[llb.ImageOption](constraints)
	switch n.ResolveMode {
	case "pull":
		opts = append(opts, llb.ResolveModeForcePull)
	case "local":
		opts = append(opts, llb.ResolveModePreferLocal)
	}
	if n.LayerLimit != nil {
		opts = append(opts, llb.WithLayerLimit(*n.LayerLimit))
	}
	if n.Checksum != "" {
		opts = append(opts, llb.WithImageChecksum(digest.Digest(n.Checksum)))
	}
	if n.Internal {
		opts = append(opts, llb.MarkImageInternal)
	}
	if b.program.Resolve == nil {
		return llb.Image(n.Ref, opts...)
	}
	if n.Pin {
		opts = append(opts, llb.ResolveDigest(true))
	}
	st := llb.Image(n.Ref, append(opts, llb.WithMetaResolver(resolver(b.program.Resolve)))...)
	if user := b.program.Resolve[n.Ref].User; user != "" {
		st = st.User(user)
	}
	return st
}

type resolver map[string]Config

func (r resolver) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	for short, config := range r {
		if normalized(short) == ref {
			return ref, digest.Digest("sha256:" + strings.Repeat("0", 64)), config.Config, nil
		}
	}
	return "", "", nil, fmt.Errorf("%s: not found", ref)
}

func local(n Node, constraints []llb.ConstraintsOpt) llb.State {
	opts := options[llb.LocalOption](constraints)
	opts = append(opts, llb.IncludePatterns(n.Include), llb.ExcludePatterns(n.Exclude), llb.FollowPaths(n.Follow))
	if n.SharedKey != "" {
		opts = append(opts, llb.SharedKeyHint(n.SharedKey))
	}
	if n.Differ != "" {
		opts = append(opts, llb.Differ(llb.DiffType(n.Differ), !n.DifferAlone))
	}
	if n.Session != "" {
		opts = append(opts, llb.SessionID(n.Session))
	}
	if n.UniqueID != "" {
		opts = append(opts, llb.LocalUniqueID(n.UniqueID))
	}
	if n.MetadataOnly {
		opts = append(opts, llb.MetadataOnlyTransfer(n.MetaExcept))
	}
	return llb.Local(n.Source, opts...)
}

func git(n Node, constraints []llb.ConstraintsOpt) llb.State {
	opts := options[llb.GitOption](constraints)
	add := func(given bool, opt llb.GitOption) {
		if given {
			opts = append(opts, opt)
		}
	}
	add(n.Ref != "", llb.GitRef(n.Ref))
	add(n.Subdir != "", llb.GitSubDir(n.Subdir))
	add(n.KeepGitDir, llb.KeepGitDir())
	add(n.NoSubmodules, llb.GitSkipSubmodules())
	add(n.Checksum != "", llb.GitChecksum(n.Checksum))
	add(n.MTime != "", llb.GitMTime(n.MTime))
	add(n.ByCommit, llb.GitFetchByCommit())
	add(n.Bundle != "", llb.GitBundleURL(n.Bundle, llb.GitBundleOCIStore(n.BundleSess, n.BundleStore)))
	add(n.Advice, llb.GitAdvice(true))
	add(n.OutBundle, llb.GitCheckoutBundle())
	if n.TokenSecret != nil {
		opts = append(opts, llb.AuthTokenSecret(*n.TokenSecret))
	}
	if n.HeaderSecret != nil {
		opts = append(opts, llb.AuthHeaderSecret(*n.HeaderSecret))
	}
	for _, key := range n.KnownHosts {
		opts = append(opts, llb.KnownSSHHosts(key))
	}
	add(n.SSHID != "", llb.MountSSHSock(n.SSHID))
	return llb.Git(n.URL, "", opts...)
}

func http(n Node, constraints []llb.ConstraintsOpt) llb.State {
	opts := options[llb.HTTPOption](constraints)
	if n.Checksum != "" {
		opts = append(opts, llb.Checksum(digest.Digest(n.Checksum)))
	}
	if n.Filename != "" {
		opts = append(opts, llb.Filename(n.Filename))
	}
	if n.Mode != 0 {
		opts = append(opts, llb.Chmod(os.FileMode(n.Mode)))
	}
	if n.Owner != nil {
		opts = append(opts, llb.Chown(n.Owner[0], n.Owner[1]))
	}
	if n.AuthSecret != "" {
		opts = append(opts, llb.AuthHeaderSecret(n.AuthSecret))
	}
	if n.Accept != "" || n.UserAgent != "" {
		opts = append(opts, llb.Header(llb.HTTPHeader{Accept: n.Accept, UserAgent: n.UserAgent}))
	}
	if n.PGP != nil {
		opts = append(opts, llb.VerifyPGPSignature(llb.HTTPSignatureInfo{
			PubKey: []byte(n.PGP[0]), Signature: []byte(n.PGP[1]),
		}))
	}
	return llb.HTTP(n.URL, opts...)
}

func blob(n Node, constraints []llb.ConstraintsOpt) []llb.ImageBlobOption {
	opts := options[llb.ImageBlobOption](constraints)
	if n.Filename != "" {
		opts = append(opts, llb.Filename(n.Filename))
	}
	if n.Mode != 0 {
		opts = append(opts, llb.Chmod(os.FileMode(n.Mode)))
	}
	if n.Owner != nil {
		opts = append(opts, llb.Chown(n.Owner[0], n.Owner[1]))
	}
	return opts
}

func (b *builder) actions(list []Action) (*llb.FileAction, error) {
	var chain *llb.FileAction
	for _, a := range list {
		next, err := b.action(chain, a)
		if err != nil {
			return nil, err
		}
		chain = next
	}
	return chain, nil
}

func (b *builder) action(chain *llb.FileAction, a Action) (*llb.FileAction, error) {
	switch a.Kind {
	case "mkdir":
		opts := []llb.MkdirOption{llb.WithParents(a.Parents)}
		if a.Owner != "" {
			opts = append(opts, llb.WithUser(a.Owner))
		}
		if a.IDs != nil {
			opts = append(opts, llb.WithUIDGID(a.IDs[0], a.IDs[1]))
		}
		if a.Created != nil {
			opts = append(opts, llb.WithCreatedTime(time.Unix(*a.Created, 0)))
		}
		if chain == nil {
			return llb.Mkdir(a.Path, os.FileMode(*a.Mode), opts...), nil
		}
		return chain.Mkdir(a.Path, os.FileMode(*a.Mode), opts...), nil
	case "mkfile":
		var opts []llb.MkfileOption
		if a.Owner != "" {
			opts = append(opts, llb.WithUser(a.Owner))
		}
		if a.Created != nil {
			opts = append(opts, llb.WithCreatedTime(time.Unix(*a.Created, 0)))
		}
		if chain == nil {
			return llb.Mkfile(a.Path, os.FileMode(*a.Mode), a.Data, opts...), nil
		}
		return chain.Mkfile(a.Path, os.FileMode(*a.Mode), a.Data, opts...), nil
	case "symlink":
		var opts []llb.SymlinkOption
		if a.Owner != "" {
			opts = append(opts, llb.WithUser(a.Owner))
		}
		if a.Created != nil {
			opts = append(opts, llb.WithCreatedTime(time.Unix(*a.Created, 0)))
		}
		if chain == nil {
			return llb.Symlink(a.Oldpath, a.Newpath, opts...), nil
		}
		return chain.Symlink(a.Oldpath, a.Newpath, opts...), nil
	case "rm":
		opts := []llb.RmOption{llb.WithAllowNotFound(a.NotFound), llb.WithAllowWildcard(a.Wildcard)}
		if chain == nil {
			return llb.Rm(a.Path, opts...), nil
		}
		return chain.Rm(a.Path, opts...), nil
	case "copy":
		return b.copy(chain, a)
	}
	return nil, fmt.Errorf("no file action %q", a.Kind)
}

func (b *builder) copy(chain *llb.FileAction, a Action) (*llb.FileAction, error) {
	info := &llb.CopyInfo{
		FollowSymlinks: a.Follow, CopyDirContentsOnly: a.ContentsOnly, IncludePatterns: a.Include,
		ExcludePatterns: a.Exclude, RequiredPaths: a.Required, AttemptUnpack: a.Unpack,
		CreateDestPath: a.CreateDest, AllowWildcard: a.Wildcard, AllowEmptyWildcard: a.EmptyWildcard,
		AlwaysReplaceExistingDestPaths: a.AlwaysReplace,
	}
	if a.Mode != nil {
		info.Mode = &llb.ChmodOpt{Mode: os.FileMode(*a.Mode)}
	} else if a.ModeStr != "" {
		info.Mode = &llb.ChmodOpt{ModeStr: a.ModeStr}
	}
	opts := []llb.CopyOption{info}
	if a.Owner != "" {
		opts = append(opts, llb.WithUser(a.Owner))
	}
	if a.Created != nil {
		opts = append(opts, llb.WithCreatedTime(time.Unix(*a.Created, 0)))
	}
	input, err := b.from(a.From)
	if err != nil {
		return nil, err
	}
	if chain == nil {
		return llb.Copy(input, a.Src, a.Dest, opts...), nil
	}
	return chain.Copy(input, a.Src, a.Dest, opts...), nil
}

func (b *builder) from(f *From) (llb.CopyInput, error) {
	if made, ok := b.chains[f.Key]; ok {
		return made, nil
	}
	if len(f.Actions) == 0 {
		return b.state(f.On), nil
	}
	inner, err := b.actions(f.Actions)
	if err != nil {
		return nil, err
	}
	made := inner.WithState(b.state(f.On))
	if f.Key != "" {
		b.chains[f.Key] = made
	}
	return made, nil
}

func options[T any](constraints []llb.ConstraintsOpt) (opts []T) {
	for _, c := range constraints {
		opts = append(opts, c.(T))
	}
	return opts
}

func platform(text string) ocispecs.Platform {
	return platforms.Normalize(platforms.MustParse(text))
}
