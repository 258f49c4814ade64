package main

import (
	"encoding/json"
)

// Program is one build as its nodes; the others refer to a node by its place in the list.
type Program struct {
	Name     string            `json:"name"`
	Nodes    []Node            `json:"nodes"`
	Result   *int              `json:"result"`
	Platform string            `json:"platform"`
	Unique   string            `json:"unique"`
	Resolve  map[string]Config `json:"resolve"`
	Every    Constraints       `json:"every"`
	SetsPath *bool             `json:"sets_default_path"`

	Dockerfile *Dockerfile `json:"dockerfile"`
}

// Config is what a registry would answer for an image. User is set on the state, as the Dockerfile frontend does.
type Config struct {
	Config json.RawMessage `json:"config"`
	User   string          `json:"user"`
}

// Node makes one state. On is the node that it changes; none is scratch.
type Node struct {
	Op string `json:"op"`
	On *int   `json:"on"`
	Constraints

	// sources
	Ref          string     `json:"ref"`
	ResolveMode  string     `json:"resolve_mode"`
	Checksum     string     `json:"checksum"`
	LayerLimit   *int       `json:"layer_limit"`
	Internal     bool       `json:"internal"`
	Source       string     `json:"source"`
	Include      []string   `json:"include"`
	Exclude      []string   `json:"exclude"`
	Follow       []string   `json:"follow"`
	SharedKey    string     `json:"shared_key"`
	Differ       string     `json:"differ"`
	MetadataOnly bool       `json:"metadata_only"`
	MetaExcept   []string   `json:"metadata_except"`
	URL          string     `json:"url"`
	Subdir       string     `json:"subdir"`
	KeepGitDir   bool       `json:"keep_git_dir"`
	NoSubmodules bool       `json:"no_submodules"`
	MTime        string     `json:"mtime"`
	ByCommit     bool       `json:"fetch_by_commit"`
	Bundle       string     `json:"bundle"`
	OutBundle    bool       `json:"checkout_bundle"`
	TokenSecret  *string    `json:"auth_token_secret"`
	HeaderSecret *string    `json:"auth_header_secret"`
	KnownHosts   []string   `json:"known_hosts"`
	SSHID        string     `json:"ssh_id"`
	Filename     string     `json:"filename"`
	Mode         int        `json:"mode"`
	Owner        []int      `json:"owner"`
	AuthSecret   string     `json:"auth_secret"`
	Accept       string     `json:"accept"`
	UserAgent    string     `json:"user_agent"`
	PGP          *[2]string `json:"pgp"`
	Store        string     `json:"store"`
	DifferAlone  bool       `json:"differ_alone"`
	UniqueID     string     `json:"unique_id"`
	Advice       bool       `json:"advice"`
	BundleStore  string     `json:"bundle_store"`
	BundleSess   string     `json:"bundle_session"`
	Pin          bool       `json:"resolve_digest"`
	Session      string     `json:"session"`

	// state
	Key   string `json:"key"`
	Value string `json:"value"`
	Soft  int64  `json:"soft"`
	Hard  int64  `json:"hard"`

	// run
	Args         []string    `json:"args"`
	Command      string      `json:"command"`
	Env          [][2]string `json:"env"`
	Dir          string      `json:"dir"`
	User         string      `json:"user"`
	Hostname     string      `json:"hostname"`
	Network      string      `json:"network"`
	Security     string      `json:"security"`
	ExtraHosts   [][2]string `json:"extra_hosts"`
	Ulimits      []Ulimit    `json:"ulimits"`
	CgroupParent string      `json:"cgroup_parent"`
	OkCodes      []int       `json:"ok_codes"`
	ReadonlyRoot bool        `json:"readonly_root"`
	Proxy        *Proxy      `json:"proxy"`
	Devices      []Device    `json:"devices"`
	Mounts       []Mount     `json:"mounts"`
	Target       string      `json:"target"`

	// definition: On marshalled, or Data, as a state
	Data []byte `json:"data"`

	// file, merge, diff, requires, passthrough; Key is the id of the last two, Index the output that is the state
	Actions []Action `json:"actions"`
	States  []int    `json:"states"`
	Lower   *int     `json:"lower"`
	Upper   *int     `json:"upper"`
	Outputs []int    `json:"outputs"`
	Index   int      `json:"index"`
}

// Constraints stand beside an op.
type Constraints struct {
	Platform    string            `json:"platform"`
	Filters     []string          `json:"filters"`
	Title       string            `json:"name"`
	Description map[string]string `json:"description"`
	IgnoreCache bool              `json:"ignore_cache"`
	ExportCache *bool             `json:"export_cache"`
	Group       *Group            `json:"group"`
	Resources   *Resources        `json:"resources"`
	Locations   []Location        `json:"locations"`
}

type Group struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Weak bool   `json:"weak"`
}

type Resources struct {
	Memory     int64  `json:"memory"`
	MemorySwap int64  `json:"memory_swap"`
	CPUShares  uint64 `json:"cpu_shares"`
	CPUPeriod  uint64 `json:"cpu_period"`
	CPUQuota   int64  `json:"cpu_quota"`
	CpusetCpus string `json:"cpuset_cpus"`
	CpusetMems string `json:"cpuset_mems"`
}

// Location is a place in a file; Range is start line, start character, end line, end character.
type Location struct {
	Filename string   `json:"filename"`
	Language string   `json:"language"`
	Data     string   `json:"data"`
	Range    [4]int32 `json:"range"`
}

type Ulimit struct {
	Name string `json:"name"`
	Soft int64  `json:"soft"`
	Hard int64  `json:"hard"`
}

type Proxy struct {
	HTTP  string `json:"http"`
	HTTPS string `json:"https"`
	FTP   string `json:"ftp"`
	No    string `json:"no"`
	All   string `json:"all"`
}

type Device struct {
	Name     string `json:"name"`
	Optional bool   `json:"optional"`
}

// Mount is a mount of a run. Source is a node; none is scratch.
type Mount struct {
	Type         string      `json:"type"`
	Source       *int        `json:"source"`
	Target       string      `json:"target"`
	ID           string      `json:"id"`
	Selector     string      `json:"selector"`
	Readonly     bool        `json:"readonly"`
	NoOutput     bool        `json:"no_output"`
	ContentCache string      `json:"content_cache"`
	Sharing      string      `json:"sharing"`
	SetEnv       [][2]string `json:"set_env"`
	Size         int64       `json:"size"`
	Env          string      `json:"env"`
	UID          int         `json:"uid"`
	GID          int         `json:"gid"`
	Mode         *int        `json:"mode"`
	Optional     bool        `json:"optional"`
}

// Action is a file action. From is what a copy copies from.
type Action struct {
	Kind          string   `json:"kind"`
	Path          string   `json:"path"`
	Mode          *int     `json:"mode"`
	ModeStr       string   `json:"mode_str"`
	Data          []byte   `json:"data"`
	Parents       bool     `json:"parents"`
	Owner         string   `json:"owner"`
	IDs           *[2]int  `json:"ids"`
	Created       *int64   `json:"created"`
	Oldpath       string   `json:"oldpath"`
	Newpath       string   `json:"newpath"`
	NotFound      bool     `json:"allow_not_found"`
	Wildcard      bool     `json:"wildcard"`
	From          *From    `json:"from"`
	Src           string   `json:"src"`
	Dest          string   `json:"dest"`
	Follow        bool     `json:"follow_symlinks"`
	ContentsOnly  bool     `json:"contents_only"`
	Unpack        bool     `json:"unpack"`
	CreateDest    bool     `json:"create_dest"`
	EmptyWildcard bool     `json:"allow_empty_wildcard"`
	Include       []string `json:"include"`
	Exclude       []string `json:"exclude"`
	Required      []string `json:"required"`
	AlwaysReplace bool     `json:"always_replace"`
}

// From is a node, or with actions a chain of them on that node. Those of one key are one chain, which the first makes.
type From struct {
	On      *int     `json:"on"`
	Actions []Action `json:"actions"`
	Key     string   `json:"key"`
}
