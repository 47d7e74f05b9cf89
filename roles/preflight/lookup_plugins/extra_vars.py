"""Return the extra variables of this run as the user gave them, before anything is templated."""

from ansible.parsing.dataloader import DataLoader
from ansible.plugins.lookup import LookupBase
from ansible.utils.vars import load_extra_vars

DOCUMENTATION = """
name: extra_vars
author: the lab
short_description: The extra variables of this run
description:
  - Returns one dictionary with the variables given by C(-e), so that what nobody knows can be refused by name.
"""


class LookupModule(LookupBase):
    """Tell the extra variables from all the others, which Ansible's own lookups do not."""

    def run(self, terms, variables=None, **kwargs):
        """Return one dictionary in a list."""
        return [dict(load_extra_vars(self._loader or DataLoader()))]
