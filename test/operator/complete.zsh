# Prints the words that zsh offers for a command line, as a person at a terminal would get them.
# Usage: complete.zsh COMPLETION LINE   The shell inside a pseudo-terminal reads COMPLETION, and completes LINE at its end.
zmodload zsh/zpty
export ZDOTDIR=$(mktemp -d) COMPLETION=$1
cat >$ZDOTDIR/.zshrc <<'END'
PROMPT=
# The list of all functions takes a second to make, and is cached beside the completion.
autoload -Uz compinit && compinit -u -d $COMPLETION.dump
source $COMPLETION
zstyle ':completion:*' insert-tab false
bindkey '^I' complete-word
# Every word that a completion function offers passes compadd.
compadd() {
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
  local -a offered
  builtin compadd -A offered "$@"
  print -rl -- $offered >>$ZDOTDIR/offered
  builtin compadd "$@"
}
finish() { exit }
comppostfuncs=(finish)
END
: >$ZDOTDIR/offered
zpty terminal zsh -i
zpty -w -n terminal "$2"$'\t'
# Until the shell has exited.
while zpty -r terminal output; do :; done
cat $ZDOTDIR/offered
rm -r $ZDOTDIR
