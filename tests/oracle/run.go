package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
)

func (b *builder) run(n Node, st llb.State) (llb.State, error) {
	opts, err := b.runOptions(n, st)
	if err != nil {
		return st, err
	}
	done := st.Run(opts...)
	mounts := b.mounts[len(b.mounts)-1]
	for _, m := range n.Mounts {
		switch m.Type {
		case "bind":
			mounts[m.Target] = done.AddMount(m.Target, b.state(m.Source), bind(m)...)
		case "cache":
			done.AddMount(m.Target, b.state(m.Source), cache(m)...)
		case "tmpfs":
			var size []llb.TmpfsOption
			if m.Size != 0 {
				size = append(size, llb.TmpfsSize(m.Size))
			}
			done.AddMount(m.Target, llb.Scratch(), llb.Tmpfs(size...))
		}
	}
	mounts["/"] = done.Root()
	return done.Root(), nil
}

func (b *builder) runOptions(n Node, st llb.State) ([]llb.RunOption, error) {
	opts := options[llb.RunOption](b.constraints(n.Constraints))
	if n.Command != "" {
		opts = append(opts, llb.Args([]string{"/bin/sh", "-c", n.Command}))
	} else {
		opts = append(opts, llb.Args(n.Args))
	}
	for _, pair := range n.Env {
		opts = append(opts, llb.AddEnv(pair[0], pair[1]))
		st = st.AddEnv(pair[0], pair[1])
	}
	add := func(given bool, opt llb.StateOption) {
		if given {
			opts = append(opts, opt)
		}
	}
	add(n.Dir != "", llb.Dir(n.Dir))
	add(n.User != "", llb.User(n.User))
	add(n.Hostname != "", llb.Hostname(n.Hostname))
	add(n.Network != "", llb.Network(network(n.Network)))
	add(n.Security != "", llb.Security(security(n.Security)))
	for _, pair := range n.ExtraHosts {
		opts = append(opts, llb.AddExtraHost(pair[0], net.ParseIP(pair[1])))
	}
	for _, u := range n.Ulimits {
		opts = append(opts, llb.AddUlimit(llb.UlimitName(u.Name), u.Soft, u.Hard))
	}
	if n.CgroupParent != "" {
		opts = append(opts, llb.WithCgroupParent(n.CgroupParent))
	}
	if n.OkCodes != nil {
		opts = append(opts, llb.ValidExitCodes(n.OkCodes...))
	}
	if n.ReadonlyRoot {
		opts = append(opts, llb.ReadonlyRootFS())
	}
	if p := n.Proxy; p != nil {
		opts = append(opts, llb.WithProxy(llb.ProxyEnv{
			HTTPProxy: p.HTTP, HTTPSProxy: p.HTTPS, FTPProxy: p.FTP, NoProxy: p.No, AllProxy: p.All,
		}))
	}
	for _, d := range n.Devices {
		device := []llb.CDIDeviceOption{llb.CDIDeviceName(d.Name)}
		if d.Optional {
			device = append(device, llb.CDIDeviceOptional)
		}
		opts = append(opts, llb.AddCDIDevice(device...))
	}
	// Variables of cache mounts are set in the order of the targets, which is the order LLB has them in. For the
	// others the order given counts.
	mounts := slices.Clone(n.Mounts)
	slices.SortStableFunc(mounts, func(a, b Mount) int {
		if a.Type != "cache" || b.Type != "cache" {
			return strings.Compare(a.Type, b.Type)
		}
		return strings.Compare(a.Target, b.Target)
	})
	for _, m := range mounts {
		more, err := mountOptions(m, &st)
		if err != nil {
			return nil, err
		}
		opts = append(opts, more...)
	}
	return opts, nil
}

// mountOptions are those of a mount that are no mounts of a filesystem: secrets, sockets, and the variables that a
// cache mount's tool needs, which stay what they are where the state has them. Those of an image would give way, but a
// state does not tell where it has a variable from, so no image config of a program has one of them.
func mountOptions(m Mount, st *llb.State) (opts []llb.RunOption, err error) {
	switch m.Type {
	case "cache":
		for _, pair := range m.SetEnv {
			_, found, err := st.GetEnv(context.Background(), pair[0])
			if err != nil {
				return nil, err
			}
			if !found {
				opts = append(opts, llb.AddEnv(pair[0], pair[1]))
				*st = st.AddEnv(pair[0], pair[1])
			}
		}
	case "secret":
		var dest *string
		if m.Target != "" {
			dest = &m.Target
		}
		secret := []llb.SecretOption{llb.SecretFileOpt(m.UID, m.GID, *m.Mode)}
		if m.Env != "" {
			secret = append(secret, llb.SecretAsEnvName(m.Env))
		}
		if m.Optional {
			secret = append(secret, llb.SecretOptional)
		}
		opts = append(opts, llb.AddSecretWithDest(m.ID, dest, secret...))
	case "ssh":
		socket := []llb.SSHOption{llb.SSHID(m.ID), llb.SSHSocketOpt(m.Target, m.UID, m.GID, *m.Mode)}
		if m.Optional {
			socket = append(socket, llb.SSHOptional)
		}
		opts = append(opts, llb.AddSSHSocket(socket...))
	case "bind", "tmpfs":
	default:
		err = fmt.Errorf("no mount type %q", m.Type)
	}
	return opts, err
}

func bind(m Mount) (opts []llb.MountOption) {
	if m.Selector != "" {
		opts = append(opts, llb.SourcePath(m.Selector))
	}
	if m.Readonly {
		opts = append(opts, llb.Readonly)
	}
	if m.NoOutput {
		opts = append(opts, llb.ForceNoOutput)
	}
	switch m.ContentCache {
	case "on":
		opts = append(opts, llb.ContentCache(llb.MountContentCacheOn))
	case "off":
		opts = append(opts, llb.ContentCache(llb.MountContentCacheOff))
	}
	return opts
}

func cache(m Mount) []llb.MountOption {
	sharing := map[string]llb.CacheMountSharingMode{
		"": llb.CacheMountShared, "shared": llb.CacheMountShared, "private": llb.CacheMountPrivate,
		"locked": llb.CacheMountLocked,
	}[m.Sharing]
	return append(bind(m), llb.AsPersistentCacheDir(m.ID, sharing))
}

func network(mode string) pb.NetMode {
	return map[string]pb.NetMode{
		"sandbox": llb.NetModeSandbox, "host": llb.NetModeHost, "none": llb.NetModeNone,
	}[mode]
}

func security(mode string) pb.SecurityMode {
	return map[string]pb.SecurityMode{
		"sandbox": llb.SecurityModeSandbox, "insecure": llb.SecurityModeInsecure,
	}[mode]
}
