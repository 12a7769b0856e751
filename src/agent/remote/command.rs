//! The command line that reaches a remote host.

/// How an agent on another host is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteCommand {
    /// The command, as a shell reads it; what is appended to it runs on the other host: `ssh gpu-box`.
    pub on: String,
    /// wattscope on the other host, as the shell over there finds it.
    pub program: String,
}

impl RemoteCommand {
    /// The whole command line.
    pub fn line(&self) -> String {
        format!("{} {} agent", self.on, self.program)
    }

    /// The program that this host runs.
    pub fn local_program(&self) -> &str {
        self.on.split_whitespace().next().unwrap_or_default()
    }

    /// The program that the other host runs; words before it (`env A=1`) are not it.
    pub fn remote_program(&self) -> &str {
        self.program.split_whitespace().last().unwrap_or_default()
    }

    /// How to copy this very program to the other host: a command where there is one, else the program's path.
    pub fn copy_hint(&self) -> String {
        let own = std::env::current_exe().map_or_else(|_| "wattscope".to_owned(), |path| path.display().to_string());
        match self.on.split_whitespace().collect::<Vec<_>>()[..] {
            ["ssh", host] => format!("scp {own} {host}:"),
            _ => own,
        }
    }
}
