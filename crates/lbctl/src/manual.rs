//! The manual page: one page, a section for every command.

use crate::cli::Cli;
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use std::io::{self, Write};

/// roff for `lbctl.1`.
pub fn page() -> io::Result<String> {
    let mut lbctl = Cli::command();
    lbctl.build();
    let mut page = Vec::new();
    Man::new(lbctl.clone()).title("LBCTL").section("1").render(&mut page)?;
    for command in lbctl.get_subcommands() {
        section(command, "lbctl", &mut page)?;
    }
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn section(command: &Command, parent: &str, page: &mut Vec<u8>) -> io::Result<()> {
    if command.get_name() == "help" {
        return Ok(());
    }
    let name = format!("{parent} {}", command.get_name());
    let commands: Vec<&Command> = command.get_subcommands().filter(|c| c.get_name() != "help").collect();
    if commands.is_empty() {
        writeln!(page, ".SH \"{}\"", name.to_uppercase())?;
        let man = Man::new(command.clone());
        let mut text = Vec::new();
        man.render_description_section(&mut text)?;
        man.render_synopsis_section(&mut text)?;
        man.render_options_section(&mut text)?;
        if command.get_after_help().is_some() {
            man.render_extra_section(&mut text)?;
        }
        page.extend(String::from_utf8_lossy(&text).replace(".SH ", ".SS ").bytes());
    }
    commands.into_iter().try_for_each(|c| section(c, &name, page))
}
