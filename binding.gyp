# The native build: one static library for each layer of native/, the addon, and the native test programs. Called by
# scripts/bootstrap.mjs through node-gyp; `gypfile` is false in package.json, so that npm never runs it by itself.
# Sources are listed by folder: a new file needs no change here. Sanitizer builds set `sanitize` (scripts/sanitize.mjs).
{
  'variables': {
    'sanitize%': '',
    'cargo_target%': '<(module_root_dir)/build/cargo',
  },

  'target_defaults': {
    'default_configuration': 'Release',
    'configurations': {
      'Release': {
        'cflags!': ['-O3'],
      },
    },
    'include_dirs': ['native'],
    'cflags': [
      '-O2', '-g1', '-fPIC', '-pthread',
      '-fstack-protector-strong', '-fstack-clash-protection',
      '-isystem', '<(SHARED_INTERMEDIATE_DIR)',
    ],
    'cflags_cc!': ['-fno-rtti', '-fno-exceptions', '-std=gnu++17', '-std=gnu++20'],
    'cflags_cc': ['-std=c++20', '-fexceptions', '-frtti'],
    'defines': ['_GLIBCXX_ASSERTIONS'],
    'ldflags': ['-pthread', '-Wl,-z,relro', '-Wl,-z,now', '-Wl,-z,noexecstack'],
    'conditions': [
      ['target_arch=="x64"', { 'cflags': ['-msse4.2'] }],
      ['target_arch=="arm64"', { 'cflags': ['-march=armv8-a+crc'] }],
      ['sanitize==""', {
        'cflags': ['-U_FORTIFY_SOURCE', '-D_FORTIFY_SOURCE=2'],
      }, {
        'cflags': ['-fsanitize=<(sanitize)', '-fno-omit-frame-pointer', '-fno-sanitize-recover=all'],
        'ldflags': ['-fsanitize=<(sanitize)'],
        'defines': ['CAPSTAN_SANITIZED=1'],
      }],
    ],
    'target_conditions': [
      ['_target_name!="schemas"', {
        # In cflags_cc, since Node's own settings take -Werror out of cflags.
        'cflags_cc': ['-Wall', '-Wextra', '-Werror', '-Wno-unused-parameter'],
      }],
      ['_type=="static_library"', {
        'product_prefix': 'libcapstan_',
      }],
    ],
  },

  'targets': [
    {
      # Cap'n Proto's C++ of every schema, and error_text.h.
      'target_name': 'schemas',
      'type': 'static_library',
      'hard_dependency': 1,
      'cflags_cc': ['-w'],
      'actions': [{
        'action_name': 'compile_schemas',
        'inputs': ['<!@(node scripts/list_sources.mjs .capnp schemas)', 'scripts/generate.mjs'],
        # One output, though the headers are beside it: make runs an action of several ones at each build.
        'outputs': ['<(SHARED_INTERMEDIATE_DIR)/schemas.cc'],
        'action': ['node', 'scripts/generate.mjs', '--native', '<(SHARED_INTERMEDIATE_DIR)'],
        'message': 'Compiling schemas',
        'process_outputs_as_sources': 1,
      }],
    },
    {
      # The Rust core, behind native/consensus' C header. The action leaves the archive of cargo and a source with its
      # digest: compiled in, it makes whatever links the core link again when the core has changed.
      'target_name': 'consensus',
      'type': 'static_library',
      'hard_dependency': 1,
      'actions': [{
        'action_name': 'build_rust',
        'inputs': [
          '<!@(node scripts/list_sources.mjs .rs native/consensus/src native/consensus/tests)',
          'native/consensus/Cargo.toml',
          'native/consensus/Cargo.lock',
          'scripts/build_rust.mjs',
        ],
        'outputs': ['<(SHARED_INTERMEDIATE_DIR)/consensus_digest.cc'],
        'action': ['node', 'scripts/build_rust.mjs', '<(cargo_target)', '<(SHARED_INTERMEDIATE_DIR)/consensus_digest.cc'],
        'message': 'Building the Rust core',
        'process_outputs_as_sources': 1,
      }],
      'link_settings': {
        'libraries': ['<(cargo_target)/release/libcapstan_consensus.a', '-ldl', '-lm'],
      },
    },
    {
      'target_name': 'base',
      'type': 'static_library',
      'sources': ['<!@(node scripts/list_sources.mjs .cc native/base)'],
      'dependencies': ['schemas'],
    },
    {
      'target_name': 'codec',
      'type': 'static_library',
      'sources': ['<!@(node scripts/list_sources.mjs .cc native/codec)'],
      'dependencies': ['schemas', 'base'],
      'link_settings': { 'libraries': ['-lcapnp', '-lkj', '-lxxhash'] },
    },
    {
      'target_name': 'rpc',
      'type': 'static_library',
      'sources': ['<!@(node scripts/list_sources.mjs .cc native/rpc)'],
      'dependencies': ['schemas', 'base', 'codec'],
      'link_settings': { 'libraries': ['-lcapnp-rpc', '-lcapnp', '-lkj-async', '-lkj'] },
    },
    {
      'target_name': 'log',
      'type': 'static_library',
      'sources': ['<!@(node scripts/list_sources.mjs .cc native/log)'],
      'dependencies': ['schemas', 'base'],
    },
    {
      'target_name': 'raft',
      'type': 'static_library',
      'sources': ['<!@(node scripts/list_sources.mjs .cc native/raft)'],
      'dependencies': ['schemas', 'base', 'consensus', 'log'],
    },
    {
      'target_name': 'storage',
      'type': 'static_library',
      'sources': ['<!@(node scripts/list_sources.mjs .cc native/storage)'],
      'dependencies': ['schemas', 'base'],
      'link_settings': { 'libraries': ['-lrocksdb', '-lxxhash'] },
    },
    {
      'target_name': 'fsm',
      'type': 'static_library',
      'sources': ['<!@(node scripts/list_sources.mjs .cc native/fsm)'],
      'dependencies': ['schemas', 'base', 'codec', 'storage'],
      'link_settings': { 'libraries': ['-lrocksdb', '-lxxhash'] },
    },
    {
      'target_name': 'engine',
      'type': 'static_library',
      'sources': ['<!@(node scripts/list_sources.mjs .cc native/engine)'],
      'dependencies': ['schemas', 'base', 'codec', 'rpc', 'log', 'raft', 'storage', 'fsm'],
    },
    {
      'target_name': 'capstan',
      'type': 'loadable_module',
      'sources': ['native/addon.cc', '<!@(node scripts/list_sources.mjs .cc native/napi)'],
      'dependencies': ['engine', 'schemas'],
      # The last one: an environment that is being ended takes no errors, which is no reason to abort.
      'defines': ['NAPI_VERSION=8', 'NAPI_CPP_EXCEPTIONS', 'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS'],
      'cflags': ['-isystem', '<!(node -p "require(\'node:path\').resolve(require(\'node-addon-api\').include_dir)")'],
      'cflags_cc': ['-fvisibility=hidden'],
      'ldflags': [
        # Node unmaps an addon that only worker threads had loaded, under the feet of the engine's threads.
        '-Wl,-z,nodelete',
        # Nothing of ours is seen by other addons of the process, nor theirs by us.
        '-Wl,--exclude-libs,ALL', '-Wl,--no-undefined-version',
      ],
    },
    {
      'target_name': 'native_tests',
      'type': 'executable',
      'sources': [
        '<!@(node scripts/list_sources.mjs .cc native/test -_main.cc)',
        # The simulated disk serves tests of crashes, too.
        'native/sim/disk.cc', 'native/sim/disk_files.cc',
      ],
      'dependencies': ['engine', 'schemas'],
      'libraries': ['-lgtest', '-lgtest_main'],
    },
    {
      # The deterministic simulator. It brings its own `endProcess` and waits, so it shares no program with the tests.
      'target_name': 'sim',
      'type': 'executable',
      'sources': ['<!@(node scripts/list_sources.mjs .cc native/sim)'],
      'dependencies': ['engine', 'schemas'],
      'libraries': ['-ldl'],
    },
    {
      # Every committed input of test/corpus through its fuzz target. Its own base/check.cc is native/fuzz/ended.cc.
      'target_name': 'corpus_tests',
      'type': 'executable',
      'sources': ['<!@(node scripts/list_sources.mjs .cc native/fuzz -_main.cc)'],
      'dependencies': ['engine', 'schemas'],
      'libraries': ['-lgtest', '-lgtest_main'],
    },
    {
      # A client made of the stock RPC library, for test/e2e: it shares nothing with the server but the schemas.
      'target_name': 'stock_client',
      'type': 'executable',
      'sources': ['<!@(node scripts/list_sources.mjs .cc test/native)'],
      'include_dirs': ['test/native'],
      'dependencies': ['schemas'],
      'libraries': ['-lcapnp-rpc', '-lcapnp', '-lkj-async', '-lkj'],
    },
    {
      # What the machine gives to a bare loop, for `capstan bench` to print beside its results.
      'target_name': 'bench_floor',
      'type': 'executable',
      'sources': ['bench/native/floor_main.cc'],
      'libraries': ['-lrocksdb'],
    },
  ],

  'conditions': [
    ['sanitize!=""', {
      'targets': [{
        'target_name': 'planted_faults',
        'type': 'executable',
        'sources': ['native/test/planted_faults_main.cc'],
        'cflags_cc': ['-w'],
      }],
    }],
  ],
}
