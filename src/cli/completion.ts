// Owns: the verb `capstan completion`: a script for the shell, made from the tree of commands itself. Never asks a server,
// and never touches a file of the shell. Called by the command line's main.

import { Argument, Command } from "commander";

type Shell = "bash" | "zsh" | "fish";

interface Node {
  /** Names of commands from the root, with a space between; empty for the root. */
  readonly path: string;
  /** Commands, flags, and the choices of an argument. */
  readonly words: readonly string[];
  /** Its argument is a file: flags are offered only behind a dash. */
  readonly takesFile: boolean;
}

interface Tree {
  readonly nodes: readonly Node[];
  /** Flags that take one of a few words, as patterns of `case`, with the words. */
  readonly choices: ReadonlyMap<string, readonly string[]>;
}

/** Flags whose value is a file or a directory. */
const pathFlags = ["--file", "--config", "--data-dir", "--dir"];

const generators: Readonly<Record<Shell, (tree: Tree) => string>> = { bash, zsh, fish };

export function completionCommand(program: () => Command): Command {
  return new Command("completion")
    .description("print a completion script for a shell")
    .addArgument(new Argument("<shell>").choices(["bash", "zsh", "fish"]))
    .addHelpText("after", help)
    .action((shell: Shell) => {
      process.stdout.write(generators[shell](treeOf(program())));
    });
}

function treeOf(program: Command): Tree {
  const choices = new Map<string, readonly string[]>();
  const nodes: Node[] = [];
  const visit = (command: Command, path: string): void => {
    const flags = ["--help"];
    for (const { short, long, argChoices } of command.options) {
      const names = [short, long].filter((name) => name !== undefined);
      flags.push(...names);
      if (argChoices !== undefined) choices.set(names.join("|"), argChoices);
    }
    const argument = command.registeredArguments.at(0);
    const words = [...command.commands.map((child) => child.name()), ...(argument?.argChoices ?? []), ...flags];
    nodes.push({ path, words, takesFile: argument?.name() === "file" });
    for (const child of command.commands) visit(child, `${path} ${child.name()}`.trim());
  };
  visit(program, "");
  return { nodes, choices };
}

/** `case` lines: what is offered behind each path. */
function cases(nodes: readonly Node[], render: (node: Node) => string): string {
  return nodes.map((node) => `    "${node.path}") ${render(node)} ;;`).join("\n");
}

/** The paths that a word may lead to, as patterns of `case`. */
function steps(nodes: readonly Node[]): string {
  return nodes
    .filter((node) => node.path !== "")
    .map((node) => `"${node.path}"`)
    .join("|");
}

function choiceCases(tree: Tree, render: (words: string) => string): string {
  return [...tree.choices].map(([flags, words]) => `    ${flags}) ${render(words.join(" "))} ;;`).join("\n");
}

function bash(tree: Tree): string {
  const { nodes } = tree;
  return `# bash completion of capstan
_capstan() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path="" next words="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ "\${COMP_WORDS[i]}" == "--" ]] && return
    next="\${path:+$path }\${COMP_WORDS[i]}"
    case "$next" in ${steps(nodes)}) path="$next" ;; esac
  done
  case "$path" in
${cases(nodes, ({ words, takesFile }) => `${takesFile ? "[[ $current == -* ]] || return; " : ""}words="${words.join(" ")}"`)}
  esac
  case "\${COMP_WORDS[COMP_CWORD - 1]}" in
${choiceCases(tree, (words) => `words="${words}"`)}
    ${pathFlags.join("|")}) return ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _capstan capstan
`;
}

function zsh(tree: Tree): string {
  const { nodes } = tree;
  return `#compdef capstan
_capstan() {
  local route="" next i
  local -a offered
  for ((i = 2; i < CURRENT; i++)); do
    [[ "\${words[i]}" == "--" ]] && { _files; return }
    next="\${route:+$route }\${words[i]}"
    case "$next" in ${steps(nodes)}) route="$next" ;; esac
  done
  case "\${words[CURRENT - 1]}" in
${choiceCases(tree, (words) => `compadd -- ${words}; return`)}
    ${pathFlags.join("|")}) _files; return ;;
  esac
  case "$route" in
${cases(nodes, ({ words, takesFile }) => `${takesFile ? '[[ "$PREFIX" == -* ]] || { _files; return }; ' : ""}offered=(${words.join(" ")})`)}
  esac
  compadd -- $offered
}
if [[ "\${zsh_eval_context[-1]}" == loadautofunc ]]; then _capstan "$@"; else compdef _capstan capstan; fi
`;
}

/** Where files belong, the path reads as a dash, which no line below asks for: fish then offers files by itself. */
function fish(tree: Tree): string {
  const { nodes, choices } = tree;
  const offers = nodes.map(({ path, words }) => offer(path, words));
  const choosing = [...choices].map(([flags, words]) => offer(`-${flags}`, words));
  const named = nodes.filter((node) => node.path !== "").map((node) => `'${node.path}'`);
  const filed = nodes.filter((node) => node.takesFile).map((node) => `'${node.path}'`);
  return `# fish completion of capstan
function __capstan_path
  set -l before (commandline -opc)
  switch $before[-1]
    case ${pathFlags.join(" ")}
      echo -
      return
${[...choices.keys()].map((flags) => `    case ${flags.replaceAll("|", " ")}\n      printf '%s\\n' '-${flags}'\n      return`).join("\n")}
  end
  set -l route
  for word in $before[2..-1]
    if test "$word" = --
      echo -
      return
    end
    set -l next (string join -- ' ' $route $word)
    if contains -- "$next" ${named.join(" ")}
      set route (string split -- ' ' $next)
    end
  end
  set -l found (string join -- ' ' $route)
  if contains -- "$found" ${filed.join(" ")}; and not string match -q -- '-*' (commandline -ct)
    echo -
    return
  end
  printf '%s\n' "$found"
end
${[...offers, ...choosing].join("\n")}
`;
}

function offer(path: string, words: readonly string[]): string {
  return `complete -c capstan -f -n 'test (__capstan_path) = "${path}"' -a '${words.join(" ")}'`;
}

const help = `
Examples:
  source <(capstan completion bash)
  capstan completion zsh > ~/.zfunc/_capstan
  capstan completion fish > ~/.config/fish/completions/capstan.fish`;
