// Owns: the verb `capstan completion`: a script for the shell, made from the tree of commands itself. Never asks a server,
// and never touches a file of the shell. Called by the command line's main.

import { Argument, Command } from "commander";

type Shell = "bash" | "zsh" | "fish";

interface Node {
  /** Names of commands from the root, with a space between; empty for the root. */
  readonly path: string;
  readonly commands: readonly string[];
  readonly flags: readonly string[];
}

const generators: Readonly<Record<Shell, (nodes: readonly Node[]) => string>> = { bash, zsh, fish };

export function completionCommand(program: () => Command): Command {
  return new Command("completion")
    .description("print a completion script for a shell")
    .addArgument(new Argument("<shell>").choices(["bash", "zsh", "fish"]))
    .addHelpText("after", help)
    .action((shell: Shell) => {
      process.stdout.write(generators[shell](nodesOf(program(), "")));
    });
}

function nodesOf(command: Command, path: string): Node[] {
  const flags = command.options.flatMap((option) => [option.short, option.long]).filter((flag) => flag !== undefined);
  const node = { path, commands: command.commands.map((child) => child.name()), flags: [...flags, "--help"] };
  return [node, ...command.commands.flatMap((child) => nodesOf(child, `${path} ${child.name()}`.trim()))];
}

/** `case` lines: what is offered behind each path. */
function cases(nodes: readonly Node[], render: (words: readonly string[]) => string): string {
  return nodes.map((node) => `    "${node.path}") ${render([...node.commands, ...node.flags])} ;;`).join("\n");
}

/** The paths that a word may lead to, as patterns of `case`. */
function steps(nodes: readonly Node[]): string {
  return nodes
    .filter((node) => node.path !== "")
    .map((node) => `"${node.path}"`)
    .join("|");
}

function bash(nodes: readonly Node[]): string {
  return `# bash completion of capstan
_capstan() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path="" next words="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ "\${COMP_WORDS[i]}" == "--" ]] && return
    next="\${path:+$path }\${COMP_WORDS[i]}"
    case "$next" in ${steps(nodes)}) path="$next" ;; esac
  done
  case "$path" in
${cases(nodes, (words) => `words="${words.join(" ")}"`)}
  esac
  case "\${COMP_WORDS[COMP_CWORD - 1]}" in
    -o|--output) words="json table" ;;
    --file|--config|--data-dir) return ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o default -F _capstan capstan
`;
}

function zsh(nodes: readonly Node[]): string {
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
    -o|--output) compadd json table; return ;;
    --file|--config|--data-dir) _files; return ;;
  esac
  case "$route" in
${cases(nodes, (words) => `offered=(${words.join(" ")})`)}
  esac
  compadd -- $offered
}
if [[ "\${zsh_eval_context[-1]}" == loadautofunc ]]; then _capstan "$@"; else compdef _capstan capstan; fi
`;
}

function fish(nodes: readonly Node[]): string {
  const lines = nodes.flatMap((node) => {
    const words = [...node.commands, ...node.flags].join(" ");
    return `complete -c capstan -f -n 'test "$(__capstan_path)" = "${node.path}"' -a '${words}'`;
  });
  return `# fish completion of capstan
function __capstan_path
  set -l path
  for word in (commandline -opc)[2..-1]
    test "$word" = --; and echo -- && return
    set -l next (string join ' ' $path $word)
    switch $next
      case ${nodes
        .filter((node) => node.path !== "")
        .map((node) => `'${node.path}'`)
        .join(" ")}
        set path (string split ' ' $next)
    end
  end
  string join ' ' $path
end
${lines.join("\n")}
`;
}

const help = `
Examples:
  source <(capstan completion bash)
  capstan completion zsh > ~/.zfunc/_capstan
  capstan completion fish > ~/.config/fish/completions/capstan.fish`;
