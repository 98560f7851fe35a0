"""What the admin's pages show and write, apart from Django's admin classes in proxy.admin."""
