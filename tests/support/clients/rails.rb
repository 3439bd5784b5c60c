# Action Mailer as an application configures it: config.action_mailer is what
# ActionMailer::Base is told.
require "action_mailer"

module Rails
  def self.application = self
  def self.config = self
  def self.action_mailer = ActionMailer::Base
  def self.configure(&block) = instance_exec(&block)
end

load "./production.rb"
ActionMailer::Base.mail(to: ARGV[0], subject: "A test mail", body: "It works.").deliver_now
