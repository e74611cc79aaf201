# Tab completion for lbctl, where the shell is bash.
if [ -n "${BASH_VERSION:-}" ] && [ -r /usr/share/bash-completion/completions/lbctl ]; then
    . /usr/share/bash-completion/completions/lbctl
fi
