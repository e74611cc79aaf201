//! The tables of the running worker, read and cleared over its socket.

use super::{Haproxy, absent, io, socket};
use crate::{
    Entry, Forgotten, Memory, ProxyError, Table,
    memory::{entry, key_word, used},
};
use std::{collections::BTreeMap, ops::ControlFlow, time::Duration};

/// For a whole table. A million entries take some seconds; whoever looks has given up after twenty himself.
const LONGEST: Duration = Duration::from_secs(25);

impl Haproxy {
    fn lines(
        &self,
        command: &str,
        see: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ProxyError> {
        let end = socket::lines(&self.in_run("admin.sock"), command, LONGEST, see);
        end.map_err(|e| absent(e).unwrap_or_else(|e| io(format!("asking HAProxy to \"{command}\""))(e)))
    }
}

impl Memory for Haproxy {
    fn used(&self) -> Result<BTreeMap<String, usize>, ProxyError> {
        let mut tables = BTreeMap::new();
        let see = &mut |line: &str| {
            tables.extend(used(line));
            ControlFlow::Continue(())
        };
        match self.lines("show table", see) {
            Ok(_) => Ok(tables),
            Err(ProxyError::Down) => Ok(BTreeMap::new()),
            Err(e) => Err(e),
        }
    }

    fn entries(
        &self,
        table: &Table,
        key: Option<&str>,
        see: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ProxyError> {
        let command = match key.map(key_word) {
            None => format!("show table {}", table.name()),
            Some(Some(key)) => format!("show table {} key {key}", table.name()),
            // No client has it that could be named here.
            Some(None) => return Ok(ControlFlow::Continue(())),
        };
        self.lines(&command, &mut |line| match entry(line) {
            Some(entry) => see(entry),
            None => ControlFlow::Continue(()),
        })
    }

    fn forget(&self, table: &Table, key: &str) -> Result<Forgotten, ProxyError> {
        let Some(word) = key_word(key) else { return Ok(Forgotten::Unknown) };
        let there = self.entries(table, Some(key), &mut |_| ControlFlow::Break(()))?;
        if there.is_continue() {
            return Ok(Forgotten::Unknown);
        }
        self.order(&format!("clear table {} key {word}", table.name()))?;
        Ok(Forgotten::Gone)
    }

    fn clear(&self, table: &Table) -> Result<(), ProxyError> {
        self.order(&format!("clear table {}", table.name()))
    }
}
